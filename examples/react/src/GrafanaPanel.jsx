import { useEffect, useRef } from "react";

/**
 * A Grafana panel. `embed` is what createEmbed() returned; all other props are options of
 * embed.mount(): dashboard, panel, from, to, vars, theme, title, …
 */
export function GrafanaPanel({ embed, className, style, onState, onError, ...options }) {
  const box = useRef(null);
  const panel = useRef(null);

  useEffect(() => {
    const element = box.current;
    const state = ({ detail }) => onState?.(detail.state);
    const error = ({ detail }) => onError?.(detail.error);
    element.addEventListener("embedjwt-state", state);
    element.addEventListener("embedjwt-error", error);
    return () => {
      element.removeEventListener("embedjwt-state", state);
      element.removeEventListener("embedjwt-error", error);
    };
  }, [onState, onError]);

  useEffect(() => {
    panel.current = embed.mount(box.current, options);
    return () => panel.current.destroy();
  }, [embed, Object.keys(options).join()]);

  useEffect(() => panel.current.update(options), [JSON.stringify(options)]);

  return <div ref={box} className={className} style={style} />;
}
