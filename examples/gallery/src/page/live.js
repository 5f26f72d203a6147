// Events of one album, through the signalling server. While it is away, and after anything that may have been
// missed, the album is asked for as a whole instead: the events only make it quicker.

const TOPICS = ["photo_ready", "job_progress"];
const POLL_MS = 2_000;
const PING_MS = 20_000;
const SILENCE_MS = 45_000;

// Calls `event(topic, data)` for what happens, `resync()` for "look again", and `state("live" | "polling")`.
// Returns a function that stops it all.
export function follow(url, album, { event, resync, state }) {
  let socket;
  let heard = 0;
  let subscribed = new Set();
  let retry = 0;
  let stopped = false;

  const live = () => subscribed.size === TOPICS.length;
  const timers = [
    setInterval(() => live() || resync(), POLL_MS),
    setInterval(() => {
      if (socket?.readyState !== WebSocket.OPEN) return;
      // A connection that died without a word is found out by its silence.
      if (Date.now() - heard > SILENCE_MS) socket.close();
      else socket.send(JSON.stringify({ type: "ping" }));
    }, PING_MS),
  ];

  function connect() {
    if (stopped) return;
    socket = new WebSocket(url);
    socket.onopen = () => {
      heard = Date.now();
      for (const topic of TOPICS) socket.send(JSON.stringify({ type: "subscribe", topic, subject: album }));
    };
    socket.onmessage = ({ data }) => {
      heard = Date.now();
      receive(JSON.parse(data));
    };
    socket.onclose = () => {
      subscribed = new Set();
      state("polling");
      setTimeout(connect, Math.min(10_000, 500 * 2 ** retry++) * (0.75 + Math.random() / 2));
    };
  }

  function receive(message) {
    switch (message.type) {
      case "subscribed":
        subscribed.add(message.topic);
        if (live()) {
          retry = 0;
          state("live");
          resync(); // whatever happened before the subscription
        }
        break;
      case "event":
        if (message.subject === album) event(message.topic, message.data);
        break;
      case "gap":
      case "missed":
        resync();
        break;
    }
  }

  state("polling");
  if (url) connect();
  return () => {
    stopped = true;
    timers.forEach(clearInterval);
    if (!socket) return;
    socket.onclose = null;
    socket.close();
  };
}
