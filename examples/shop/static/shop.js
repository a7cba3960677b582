// The number in the cart, as all tabs of this browser see it, and whether this is still the page of whoever is logged in.
let events;

function open() {
  if (events) return;
  events = new EventSource("/live");
  events.onmessage = event => {
    const [number, user] = event.data.split(" ");
    show(number);
    isOf(user);
  };
  events.onerror = () => {
    // The stream ends with its session, and the browser connects again by itself. Unless there is no session any more.
    if (events?.readyState !== EventSource.CLOSED) return;
    show(0);
    isOf("");
  };
}

function close() {
  events?.close();
  events = undefined;
}

function show(number) {
  document.getElementById("in-cart").textContent = number;
}

// Nothing of anybody else's stays on the screen.
function isOf(user) {
  if (user !== document.body.dataset.user) location.reload();
}

if (document.getElementById("in-cart")) {
  open();
  // Browsers keep few connections to one server: tabs that nobody looks at need none.
  addEventListener("visibilitychange", () => document.hidden ? close() : open());
  // The page's own login or logout ends the stream as well; a reload then would cut off the answer.
  addEventListener("submit", close);
  // From the browser's memory, as it was left.
  addEventListener("pageshow", event => event.persisted && location.reload());
}
