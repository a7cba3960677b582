// The number in the cart, as all tabs of this browser see it.
let events;

function open() {
  if (events) return;
  events = new EventSource("/live");
  events.onmessage = event => document.getElementById("in-cart").textContent = event.data;
  events.addEventListener("ended", () => {
    close();
    // Logged out, or in, elsewhere: nothing of the old session stays on the screen. Later, because the answer to another
    // tab may be on its way with the new cookie.
    setTimeout(() => location.reload(), 500);
  });
}

function close() {
  events?.close();
  events = undefined;
}

if (document.getElementById("in-cart")) {
  open();
  // Browsers keep few connections to one server: tabs that nobody looks at need none.
  addEventListener("visibilitychange", () => document.hidden ? close() : open());
  // This page's own login or logout ends the stream as well, and a reload would cut off the answer.
  addEventListener("submit", close);
  // From the browser's memory, as it was left.
  addEventListener("pageshow", event => event.persisted && location.reload());
}
