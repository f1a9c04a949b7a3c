/* Comfort only: every page works without this file. Written for old engines (ES5), allowed by the strictest content security
   policy. Of what people type only a new password is looked at, for the rules beside it, and it goes nowhere. */
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
      var copied = document.execCommand("copy");
      selection.removeAllRanges();
      if (copied) {
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
      var codes = document.getElementById("recovery-codes");
      if (codes) {
        codes.hidden = true;
        each(".copy", function (button) { button.hidden = true; });
      }
      say(bar.getAttribute(codes ? "data-over-codes" : "data-over"), bar.getAttribute("data-again"));
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

  /* Binary values travel as base64url (RFC 4648 5). */
  function decode(text) {
    var binary = window.atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    var bytes = new Uint8Array(binary.length);
    for (var i = 0; i < binary.length; i += 1) {
      bytes[i] = binary.charCodeAt(i);
    }
    return bytes.buffer;
  }

  function encode(buffer) {
    var bytes = new Uint8Array(buffer);
    var binary = "";
    for (var i = 0; i < bytes.length; i += 1) {
      binary += String.fromCharCode(bytes[i]);
    }
    return window.btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function decodeIds(list) {
    return (list || []).map(function (one) {
      one.id = decode(one.id);
      return one;
    });
  }

  /* What the device gave, as the server reads it. */
  function describe(credential) {
    var response = {};
    ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (credential.response[name]) {
        response[name] = encode(credential.response[name]);
      }
    });
    return JSON.stringify({
      id: credential.id,
      rawId: encode(credential.rawId),
      type: credential.type,
      response: response,
      extensions: {}
    });
  }

  /* Asks the browser for a passkey, or to make one, when the button is pressed, and sends the form with it. */
  function usePasskey(holder) {
    var go = document.getElementById("passkey-go");
    var failed = document.getElementById("passkey-failed");
    var field = document.getElementById("credential");
    var busy = document.getElementById("passkey-busy");
    var waiting = false;

    /* Empty at first and never hidden, so that it is read out when something comes; and after the focus has moved. */
    function fail(error) {
      var known = { InvalidStateError: "data-known", NotAllowedError: "data-failed" };
      var text = failed.getAttribute(known[error && error.name] || "data-unable");
      go.focus();
      setTimeout(function () {
        failed.textContent = text;
        failed.className = "told told-amber";
      }, 150);
    }

    function wait(now) {
      waiting = now;
      go.setAttribute("aria-disabled", now ? "true" : "false");
      go.className = now ? "button button-busy" : "button";
      busy.textContent = now ? busy.getAttribute("data-busy") : "";
    }

    if (!window.PublicKeyCredential || !navigator.credentials) {
      return;
    }
    document.getElementById("passkey-unable").hidden = true;
    go.hidden = false;
    go.addEventListener("click", function (event) {
      event.preventDefault();
      if (waiting) {
        return;
      }
      var options = JSON.parse(holder.getAttribute("data-options")).publicKey;
      options.challenge = decode(options.challenge);
      options.excludeCredentials = decodeIds(options.excludeCredentials);
      options.allowCredentials = decodeIds(options.allowCredentials);
      if (options.user) {
        options.user.id = decode(options.user.id);
      }
      failed.textContent = "";
      failed.className = "told told-amber told-empty";
      wait(true);
      navigator.credentials[holder.getAttribute("data-deed")]({ publicKey: options }).then(function (credential) {
        field.value = describe(credential);
        field.form.submit();
      }).catch(function (error) {
        wait(false);
        fail(error);
      });
    });
  }

  /* Recovery codes can be copied, all at once, and printed. */
  function addKeeping(list) {
    addCopy(list);
    if (!list.hasAttribute("data-print")) {
      return;
    }
    var print = button("copy", list.getAttribute("data-print"), function () { window.print(); });
    list.parentNode.insertBefore(print, list.nextSibling.nextSibling);
  }

  /* Whether a new password keeps a rule; the same as `keeps` in src/domain/password_rules. Undefined where only the server
     can tell. */
  function keeps(text, rule, most, names, rows) {
    var characters = text.match(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\s\S]/g) || [];

    function isCapital(c) { return c.toLowerCase() !== c && c.toUpperCase() === c; }
    function isSmall(c) { return c.toUpperCase() !== c && c.toLowerCase() === c; }
    function isDigit(c) { return c >= "0" && c <= "9" && c.length === 1; }
    /* Letters without case are told from signs by where they lie: good enough for a hint. */
    function isSign(c) {
      return !isCapital(c) && !isSmall(c) && !isDigit(c) && (c < "\u00aa" || /[\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004\u3008-\u3020\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20]/.test(c) || (c.length === 2 && c >= "\ud83c" && c < "\ud83f"));
    }
    function isOther(c) {
      return !isCapital(c) && !isSmall(c) && !isDigit(c) && !isSign(c) && !/[\u00b2\u00b3\u00b9\u00bc-\u00be\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff10-\uff19]/.test(c);
    }
    function count(is) { return characters.filter(is).length; }
    function longest(list, follows) {
      var run = 0;
      return list.reduce(function (best, c, at) {
        run = at && follows(list[at - 1], c) ? run + 1 : 1;
        return Math.max(best, run);
      }, 0);
    }
    function classes() {
      return [isCapital, isSmall, isDigit, isSign, isOther].filter(count).length;
    }
    function sequence() {
      var list = text.toLowerCase().match(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\s\S]/g) || [];
      var back = list.slice().reverse();
      function either(follows) { return Math.max(longest(list, follows), longest(back, follows)); }
      function isLetter(c) { return isSmall(c) || isOther(c); }
      var best = either(function (a, b) {
        return a.charCodeAt(0) + 1 === b.charCodeAt(0) && ((isDigit(a) && isDigit(b)) || (isLetter(a) && isLetter(b)));
      });
      rows.forEach(function (row) {
        best = Math.max(best, either(function (a, b) {
          return row.indexOf(a) >= 0 && row.indexOf(a) + 1 === row.indexOf(b);
        }));
      });
      return best;
    }

    switch (rule) {
      case "minimum_length": return characters.length >= most;
      case "maximum_length": return characters.length <= most;
      case "complexity": return classes() >= 3;
      case "classes": return classes() >= most;
      case "capitals": return count(isCapital) >= most;
      case "smalls": return count(isSmall) >= most;
      case "digits": return count(isDigit) >= most;
      case "specials": return count(isSign) >= most;
      case "sequence": return sequence() <= most;
      case "repeat": return longest(characters, function (a, b) { return a === b; }) <= most;
      case "no_name":
        return !names.length ? undefined : !names.some(function (name) { return text.toLowerCase().indexOf(name) >= 0; });
    }
    return undefined;
  }

  /* Marks each rule that a new password keeps, while it is typed. */
  function markRules(list) {
    var box = document.getElementById(list.getAttribute("data-for"));
    var names = JSON.parse(list.getAttribute("data-names"));
    var rows = JSON.parse(list.getAttribute("data-rows"));

    function mark() {
      Array.prototype.forEach.call(list.children, function (line) {
        var most = Number(line.getAttribute("data-count"));
        var isKept = box.value !== "" && keeps(box.value, line.getAttribute("data-rule"), most, names, rows) === true;
        var told = line.querySelector("span");
        if (isKept && !told) {
          told = document.createElement("span");
          told.className = "hidden";
          told.textContent = " – " + list.getAttribute("data-met");
          line.appendChild(told);
        } else if (!isKept && told) {
          line.removeChild(told);
        }
        line.className = isKept ? "kept" : "";
      });
    }
    box.addEventListener("input", mark);
    window.addEventListener("pageshow", mark);
  }

  each(".secret", addReveal);
  each(".rules ul", markRules);
  each("form", sendOnce);
  each("#reference", addCopy);
  each("#expiry", warnBeforeExpiry);
  each("#resend", countDown);
  each("#passkey", usePasskey);
  each("#recovery-codes", addKeeping);

  /* After a wrong form the reader starts where it says what is wrong. */
  each(".red-box", function (box) { box.focus(); });
  each(".told-new", function (box) { box.focus(); });

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
