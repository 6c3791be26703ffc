import { Suspense, use, useState } from "react";
import { embed } from "./embed.js";
import { GrafanaPanel } from "./GrafanaPanel.jsx";

export function App() {
  const [shown, setShown] = useState(true);
  return (
    <>
      <h1>Line 3</h1>
      <form method="post" action="/logout">
        <button>Sign out</button>
      </form>
      <label>
        <input type="checkbox" checked={shown} onChange={() => setShown(!shown)} /> Show the panel
      </label>
      {shown && (
        <Suspense>
          <Cpu />
        </Suspense>
      )}
    </>
  );
}

function Cpu() {
  const there = use(embed);
  const [from, setFrom] = useState("now-15m");
  const [state, setState] = useState("");
  if (!there) return <p>Panels are not available for the moment.</p>;
  return (
    <>
      <label>
        Since{" "}
        <select value={from} onChange={({ target }) => setFrom(target.value)}>
          <option value="now-15m">15 minutes</option>
          <option value="now-1h">1 hour</option>
        </select>
      </label>
      <GrafanaPanel
        embed={there}
        className="panel"
        dashboard="acme-line-3"
        panel={1}
        from={from}
        vars={{ machine: ["mill-01", "mill-02"] }}
        theme="auto"
        title="Controller CPU"
        onState={setState}
        onError={({ code, message }) => console.warn(code, message)}
      />
      <small>{state}</small>
    </>
  );
}
