"""Reports on training-free scores: how well they rank a table's architectures, and what their pick is worth."""

from nasbench_harness.report.proxies.analysis import ProxyAnalysis, analyze_proxies
from nasbench_harness.report.proxies.files import write_proxy_report
from nasbench_harness.report.proxies.tables import proxy_tables

__all__ = ["ProxyAnalysis", "analyze_proxies", "proxy_tables", "write_proxy_report"]
