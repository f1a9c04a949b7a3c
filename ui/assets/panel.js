/* Comfort for the admin panel: lists change on the page without being sent, rows are dragged, and what is not saved is
   not left by accident. Every button works without this file. ES5, for the strictest content security policy. */
(function () {
  "use strict";

  function all(selector, root) {
    return Array.prototype.slice.call((root || document).querySelectorAll(selector));
  }

  function box(row) {
    return row.querySelector("input.box");
  }

  var told = document.createElement("p");
  told.className = "hidden";
  told.setAttribute("role", "status");
  document.body.appendChild(told);

  function say(text) {
    told.textContent = text;
  }

  /* What is not saved is not left by accident. */
  function guard(form) {
    var changed = form.getAttribute("data-guard") === "changed";
    var sent = false;
    form.addEventListener("input", function (event) {
      if (!event.target.hasAttribute("data-free") && event.target.type !== "search") {
        changed = true;
      }
    });
    form.addEventListener("submit", function () { sent = true; });
    window.addEventListener("pageshow", function () { sent = false; });
    window.addEventListener("beforeunload", function (event) {
      if (changed && !sent) {
        event.preventDefault();
        event.returnValue = form.getAttribute("data-leave");
      }
    });
    form.addEventListener("regain-changed", function () { changed = true; });
  }

  function tell(list) {
    var event = document.createEvent("Event");
    event.initEvent("regain-changed", true, false);
    list.dispatchEvent(event);
  }

  /* The boxes are numbered in their order: that is how they are read. */
  function number(list) {
    var name = list.getAttribute("data-rows");
    all(".row", list).forEach(function (row, index) {
      var input = box(row);
      input.name = name + "." + index;
      input.id = input.name;
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+(?=\D*$)/, index + 1));
    });
  }

  function editList(list) {
    function rows() { return all(".row", list); }

    /* How many entries there are is said above the list; only an entry can be moved or taken out. */
    function count() {
      var filled = rows().filter(function (row) { return box(row).value; });
      rows().forEach(function (row) {
        if (box(row).value) {
          row.removeAttribute("data-empty");
        } else {
          row.setAttribute("data-empty", "");
        }
      });
      all("summary [data-count]", list.parentNode).forEach(function (place) {
        place.textContent = place.getAttribute("data-count").replace("{count}", filled.length);
      });
    }

    function changed() {
      number(list);
      count();
      tell(list);
    }

    function told(row) {
      var text = list.getAttribute("data-moved");
      var filled = rows().filter(function (row) { return box(row).value; });
      say(text.replace("{number}", filled.indexOf(row) + 1).replace("{count}", filled.length));
    }

    function add() {
      var blank = rows().filter(function (row) { return !box(row).value; })[0];
      if (!blank) {
        var last = rows()[rows().length - 1];
        blank = last.cloneNode(true);
        box(blank).value = "";
        var label = blank.querySelector(".row-label");
        if (label) {
          label.parentNode.removeChild(label);
        }
        wire(blank);
        list.appendChild(blank);
        changed();
      } else {
        list.appendChild(blank);
        changed();
      }
      box(blank).focus();
    }

    function move(row, step, focus) {
      var other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
      if (!other || !box(row).value || !box(other).value) {
        return;
      }
      list.insertBefore(row, step < 0 ? other : other.nextElementSibling);
      changed();
      focus.focus();
      told(row);
    }

    function remove(row) {
      var next = row.nextElementSibling || row.previousElementSibling;
      if (!next) {
        box(row).value = "";
        next = row;
      } else {
        list.removeChild(row);
      }
      changed();
      box(next).focus();
      say(list.getAttribute("data-gone"));
    }

    function sort() {
      var order = rows();
      order.sort(function (one, two) {
        var a = box(one).value, b = box(two).value;
        return !a - !b || a.toLowerCase().localeCompare(b.toLowerCase());
      });
      order.forEach(function (row) { list.appendChild(row); });
      changed();
    }

    /* Dragged by its grip, with mouse, finger or pen. */
    function drag(row, grip) {
      grip.addEventListener("pointerdown", function (event) {
        if (event.button || !box(row).value) {
          return;
        }
        event.preventDefault();
        grip.setPointerCapture(event.pointerId);
        row.className = "row row-dragged";
        function follow(event) {
          var over = rows().filter(function (other) {
            var place = other.getBoundingClientRect();
            return other !== row && box(other).value && event.clientY > place.top && event.clientY < place.bottom;
          })[0];
          if (!over) {
            return;
          }
          /* The others make way: a row that is taken out of the page, even for a moment, loses the pointer. */
          if (over.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_PRECEDING) {
            while (over.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_PRECEDING) {
              list.insertBefore(row.nextElementSibling, row);
            }
          } else {
            while (over.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING) {
              list.insertBefore(row.previousElementSibling, row.nextElementSibling);
            }
          }
        }
        function drop() {
          grip.removeEventListener("pointermove", follow);
          grip.removeEventListener("pointerup", drop);
          grip.removeEventListener("pointercancel", drop);
          row.className = "row";
          changed();
          told(row);
        }
        grip.addEventListener("pointermove", follow);
        grip.addEventListener("pointerup", drop);
        grip.addEventListener("pointercancel", drop);
      });
    }

    function wire(row) {
      var deeds = {
        up: function (button) { move(row, -1, button); },
        down: function (button) { move(row, 1, button); },
        remove: function () { remove(row); }
      };
      all("[data-do]", row).forEach(function (button) {
        button.addEventListener("click", function (event) {
          event.preventDefault();
          deeds[button.getAttribute("data-do")](button);
        });
      });
      box(row).addEventListener("keydown", function (event) {
        if (event.altKey && (event.keyCode === 38 || event.keyCode === 40)) {
          event.preventDefault();
          move(row, event.keyCode === 38 ? -1 : 1, box(row));
        }
        if (event.keyCode === 13 && box(row).value) {
          event.preventDefault();
          add();
        }
      });
      var grip = row.querySelector("[data-grip]");
      if (grip && window.PointerEvent) {
        drag(row, grip);
      }
    }

    if (!list.querySelector("[data-do]")) {
      return;
    }
    rows().forEach(wire);
    list.addEventListener("input", count);
    var more = list.nextElementSibling;
    all("[data-do]", more).forEach(function (button) {
      button.addEventListener("click", function (event) {
        event.preventDefault();
        (button.getAttribute("data-do") === "sort" ? sort : add)();
      });
    });
    document.documentElement.setAttribute("data-drag", "");
  }

  /* The Enter key in a search box presses the button beside it. */
  function search(input) {
    input.addEventListener("keydown", function (event) {
      if (event.keyCode === 13) {
        event.preventDefault();
        input.parentNode.querySelector("button").click();
      }
    });
  }

  /* What takes a while says so. */
  function busy(button) {
    button.addEventListener("click", function () {
      setTimeout(function () { button.textContent = button.getAttribute("data-busy"); }, 0);
      say(button.getAttribute("data-busy"));
    });
  }

  /* The same page, as it is now. */
  function load(address, then) {
    var request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = function () {
      then(request.status === 200 ? request.response : null);
    };
    request.onerror = request.ontimeout = function () { then(null); };
    request.timeout = 20000;
    request.send();
  }

  /* The number of rows comes in when they are counted. */
  function count(place) {
    setTimeout(function () {
      load(location.href, function (page) {
        var now = page && page.querySelector(".counts");
        if (now) {
          place.textContent = now.textContent;
          if (now.hasAttribute("data-counting")) {
            count(place);
          }
        }
      });
    }, 1500);
  }

  /* New rows come in at the top; they can be held back. */
  function live(grid) {
    var paused = false;
    var button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = grid.getAttribute("data-pause");
    button.addEventListener("click", function () {
      paused = !paused;
      button.textContent = grid.getAttribute(paused ? "data-go-on" : "data-pause");
    });
    grid.parentNode.insertBefore(button, grid);
    var body = grid.querySelector("tbody");

    function next() {
      setTimeout(look, 3000);
    }

    function look() {
      if (paused || document.hidden) {
        next();
        return;
      }
      load(location.href, function (page) {
        var fresh = page && page.querySelector(".grid[data-live] tbody");
        if (!page) {
          next();
          return;
        }
        if (!fresh) {
          // Its time is over, or the session is.
          button.parentNode.removeChild(button);
          return;
        }
        var first = body.querySelector("[data-row]");
        var rows = all("[data-row]", fresh).filter(function (row) {
          return !body.querySelector("[data-row=\"" + row.getAttribute("data-row") + "\"]");
        });
        rows.forEach(function (row) {
          var own = document.importNode(row, true);
          own.className = "row-new";
          body.insertBefore(own, first);
        });
        all("[data-row]", body).slice(100).forEach(function (row) { body.removeChild(row); });
        if (rows.length) {
          say(grid.getAttribute("data-live").replace("{count}", rows.length));
        }
        next();
      });
    }

    next();
  }

  /* A colour is picked beside where it is typed. */
  function colour(input) {
    var picker = document.createElement("input");
    picker.type = "color";
    picker.setAttribute("aria-label", input.getAttribute("data-colour"));
    function follow() {
      /* Where nothing is typed it is the page's own. */
      var shown = input.value || input.getAttribute("data-own");
      if (/^#[0-9a-f]{6}$/i.test(shown)) {
        picker.value = shown.toLowerCase();
      }
    }
    input.addEventListener("input", follow);
    picker.addEventListener("input", function (event) {
      event.stopPropagation();
      input.value = picker.value;
      var typed = document.createEvent("Event");
      typed.initEvent("input", true, false);
      input.dispatchEvent(typed);
    });
    follow();
    input.parentNode.appendChild(picker);
  }

  /* What is typed is shown on pages in frames, and nothing of it is saved. */
  function preview(place) {
    var form = place.parentNode;
    var waiting = 0, asking = false, again = false;

    /* What is wrong with a setting is said beside it, as on a page that comes back. */
    function judge(page) {
      all("[data-setting]", form).forEach(function (field) {
        var id = field.getAttribute("data-setting") + "-error";
        var now = page.getElementById(id), was = document.getElementById(id);
        if (was) {
          was.parentNode.removeChild(was);
        }
        if (now) {
          field.insertBefore(document.importNode(now, true), field.querySelector(".hint").nextSibling);
          if (!was || was.textContent !== now.textContent) {
            say(now.textContent);
          }
        }
        field.className = "field setting" + (now ? " field-wrong" : "");
      });
    }

    function show(page) {
      judge(page);
      var now = page.querySelector("[data-logo]"), was = form.querySelector("[data-logo]");
      if (now && was) {
        was.parentNode.replaceChild(document.importNode(now, true), was);
      }
      all("iframe", place).forEach(function (frame) {
        frame.contentWindow.location.replace(frame.src);
      });
    }

    function ask() {
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      again = false;
      var body = new FormData(form);
      body.append("action", "preview");
      var request = new XMLHttpRequest();
      request.open("POST", form.getAttribute("action"));
      request.responseType = "document";
      request.timeout = 20000;
      request.onloadend = function () {
        asking = false;
        if (request.response && request.response.querySelector("[data-preview]")) {
          show(request.response);
        }
        if (again) {
          ask();
        }
      };
      request.send(body);
    }

    function later() {
      clearTimeout(waiting);
      waiting = setTimeout(ask, 400);
    }

    form.addEventListener("input", later);
    form.addEventListener("change", later);
    all("[value=preview]", place).forEach(function (button) {
      button.parentNode.hidden = true;
    });
  }

  /* On a small screen the page comes first. */
  all(".panel-tabs").forEach(function (tabs) {
    if (window.matchMedia && !window.matchMedia("(min-width: 48em)").matches) {
      tabs.removeAttribute("open");
    }
  });

  all("form[data-guard]").forEach(guard);
  all("[data-rows]").forEach(editList);
  all("[data-enter]").forEach(search);
  all("[data-busy]").forEach(busy);
  all("[data-colour]").forEach(colour);
  all("form > [data-preview]").forEach(preview);
  all("[data-counting]").forEach(count);
  all("[data-live]").forEach(live);
}());
