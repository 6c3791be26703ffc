
    // Tells the host page, if it is one of ours; anybody else's hears nothing.
    const { code, status, traceId: trace_id, origins } = document.querySelector("main").dataset;
    const parents = location.ancestorOrigins ? [...location.ancestorOrigins].slice(0, 1) : null;
    if (window.parent !== window) {
      for (const origin of origins.split(" ").filter(Boolean)) {
        if (parents && !parents.includes(origin)) continue;
        window.parent.postMessage({ type: "embedjwt/status", code, status: Number(status), trace_id }, origin);
      }
    }
  
