"""A whole sweep on MLflow's real page: its verdict, report and links. Takes about a minute on two cores."""

import re

import pytest
from mlflow import MlflowClient

from tests.tracking.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SWEEP = "-m norm=bn,gn reg.l1=0,1e-5 seeds=2 data=synthetic data.images=600 data.validation=100 epochs=2"


def test_a_sweep_shows_verdict_report_and_links(browser, page, command, tmp_path):
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    done = command("src.train", *SWEEP.split())
    assert done.returncode == 0, done.stderr
    links = dict(re.findall(r"^  (\w+) +(http://\S+)$", done.stderr, re.M))
    assert sorted(links) == ["curves", "leaderboard", "means"]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    (parent,) = client.search_runs(["1"], "tags.kind = 'sweep'")
    client._tracking_client.store.engine.dispose()
    verdict = next(tmp_path.glob("multirun/sweeps/*/verdict.txt")).read_text().split("\n")[0]
    server = Server(tmp_path)
    server.start()
    try:
        page.goto(f"{server.uri}/#/experiments/1/runs/{parent.info.run_id}")
        expect(page.get_by_test_id("note-editor-preview-content")).to_contain_text(verdict)
        page.goto(f"{server.uri}/#/experiments/1/runs/{parent.info.run_id}/artifacts/report.html")
        report = page.frame_locator("iframe.mlflow-html-iframe")
        expect(report.get_by_text(verdict).first).to_be_visible()
        expect(report.locator("[role=img] svg").first).to_be_visible()  # the curves
        expect(report.get_by_alt_text("Forest plot").first).to_be_visible()
        for name, link in links.items():
            page.goto(link.replace("http://127.0.0.1:5000", server.uri))
            card = page.get_by_test_id("experiment-view-compare-runs-card").first
            row = page.locator("[role=row][row-index='0'] [col-id='metrics.`val/accuracy`']").first
            expect(row if name == "leaderboard" else card).to_be_visible()
        page.goto(f"{server.uri}/#/experiments/1/runs?workflowType=machine_learning")
        for name in ("curves", "mean of 2 seeds", "leaderboard"):
            expect(page.get_by_role("link", name=name)).to_be_visible()
    finally:
        server.kill()
