/* Comfort only: every page works without this file. Written for old engines (ES5), allowed by the strictest
   content security policy, and blind to what people type. */
(function () {
  "use strict";

  function each(selector, action) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), action);
  }

  function button(className, text, action) {
    var made = document.createElement("button");
    made.type = "button";
    made.className = className;
    made.appendChild(document.createTextNode(text));
    made.addEventListener("click", action);
    return made;
  }

  /* A button at the end of each secret that shows what was typed. */
  function addReveal(holder) {
    var box = holder.querySelector("input");
    var form = box.form;
    var label = document.querySelector('label[for="' + box.id + '"]').textContent;
    var toggle = button("reveal", "", function () {
      show(box.type === "password");
    });
    function show(shown) {
      box.type = shown ? "text" : "password";
      var word = form.getAttribute(shown ? "data-hide" : "data-show");
      toggle.textContent = word;
      toggle.setAttribute("aria-label", word + ": " + label);
    }
    show(false);
    holder.className += " secret-shown";
    holder.appendChild(toggle);
    /* Sent as a password again, so that no browser remembers it as an ordinary text. */
    form.addEventListener("submit", function () { show(false); });
  }

  /* A second click while the first one travels does nothing; coming back from the cache frees the form. */
  function sendOnce(form) {
    var sent = false;
    function mark(now) {
      sent = now;
      each("button.button", function (submit) {
        submit.className = now ? "button button-busy" : "button";
      });
    }
    form.addEventListener("submit", function (event) {
      if (sent) {
        event.preventDefault();
        return;
      }
      mark(true);
    });
    window.addEventListener("pageshow", function () { mark(false); });
  }

  function addCopy(code) {
    var copy = button("copy", code.getAttribute("data-copy"), function () {
      var range = document.createRange();
      range.selectNodeContents(code);
      var selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      if (document.execCommand("copy")) {
        copy.textContent = code.getAttribute("data-copied");
      }
    });
    copy.setAttribute("aria-live", "polite");
    code.parentNode.insertBefore(copy, code.nextSibling);
  }

  /* Says twice, and only twice, that time is running out: a minute before, and when it is over. */
  function warnBeforeExpiry(bar) {
    var root = document.documentElement;
    var href = bar.getAttribute("data-href");
    var seconds = Number(bar.getAttribute("data-seconds"));
    var timer;

    function say(text, linkText, action) {
      var link = document.createElement("a");
      link.href = href;
      link.textContent = linkText;
      if (action) {
        link.addEventListener("click", action);
      }
      bar.textContent = text + " ";
      bar.appendChild(link);
      root.className = "expiring";
    }

    function over() {
      say(bar.getAttribute("data-over"), bar.getAttribute("data-again"));
    }

    /* Asks for the page again behind the scenes, so that nothing typed is lost; if that fails the link is followed. */
    function stay(event) {
      event.preventDefault();
      var request = new XMLHttpRequest();
      function follow() { window.location.href = href; }
      request.open("GET", href);
      request.onload = function () { (request.status === 200 ? start : follow)(); };
      request.onerror = follow;
      request.send();
    }

    function start() {
      bar.textContent = "";
      root.className = "";
      clearTimeout(timer);
      var left = Math.min(60, seconds / 2);
      timer = setTimeout(function () {
        say(bar.getAttribute("data-soon"), bar.getAttribute("data-stay"), stay);
        timer = setTimeout(over, left * 1000);
      }, (seconds - left) * 1000);
    }

    start();
  }

  /* Counts down until another code can be asked for; said aloud only at the end. */
  function countDown(line) {
    var end = new Date().getTime() + Number(line.getAttribute("data-seconds")) * 1000;
    var timer = setInterval(function () {
      var left = Math.ceil((end - new Date().getTime()) / 1000);
      if (left > 0) {
        line.textContent = line.textContent.replace(/\d+/, left);
        return;
      }
      clearInterval(timer);
      line.textContent = "";
      document.getElementById("resend-ready").textContent = line.getAttribute("data-ready");
    }, 1000);
  }

  each(".secret", addReveal);
  each("form", sendOnce);
  each("#reference", addCopy);
  each("#expiry", warnBeforeExpiry);
  each("#resend", countDown);

  /* After a wrong form the reader starts where it says what is wrong. */
  each(".red-box", function (box) { box.focus(); });

  /* The list of languages closes like a menu. */
  each(".languages", function (list) {
    document.addEventListener("click", function (event) {
      if (!list.contains(event.target)) {
        list.removeAttribute("open");
      }
    });
    document.addEventListener("keydown", function (event) {
      if (event.keyCode === 27 && list.hasAttribute("open")) {
        list.removeAttribute("open");
        list.querySelector("summary").focus();
      }
    });
  });
}());
