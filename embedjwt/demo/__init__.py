"""A demonstration in one process: a host application, embedjwt, and a stand-in Grafana."""

from embedjwt.demo.run import DemoFailed, DemoUrls, banner, run_demo

__all__ = ["DemoFailed", "DemoUrls", "banner", "run_demo"]
