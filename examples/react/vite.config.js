import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const { PORT = "8000", BACKEND = "http://localhost:8003", SERVICE = "http://localhost:8001" } = process.env;
// The backend signs people in and asks embedjwt for them: it is that of ../node.
const proxy = Object.fromEntries(["/login", "/logout", "/grafana-token"].map((path) => [path, BACKEND]));
const server = { host: "localhost", port: Number(PORT), strictPort: true, proxy };

export default defineConfig({
  plugins: [react()],
  define: { SERVICE: JSON.stringify(SERVICE) },
  server,
  preview: server,
});
