import numpy as np

from src.runs.predictions import Predictions, load_predictions, save_predictions


def test_predictions_come_back_as_they_were(tmp_path):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), size=7).astype(np.float32)
    kept = Predictions(np.arange(7) % 5, probabilities.argmax(axis=1), probabilities)
    save_predictions(tmp_path / "predictions.npz", kept)
    found = load_predictions(tmp_path / "predictions.npz")
    for name in ("label", "predicted", "probabilities"):
        stored, loaded = getattr(kept, name), getattr(found, name)
        assert np.array_equal(stored, loaded)
        assert stored.dtype == loaded.dtype
    assert len(found) == 7


def test_the_file_holds_an_index_and_opens_without_pickle(tmp_path):
    kept = Predictions(np.zeros(3, np.int64), np.zeros(3, np.int64), np.ones((3, 1), np.float32))
    save_predictions(tmp_path / "predictions.npz", kept)
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as stored:
        assert set(stored) == {"index", "label", "predicted", "probabilities"}
        assert stored["index"].tolist() == [0, 1, 2]


def test_wrong_and_confidence_are_of_the_predicted_class():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], np.float32)
    found = Predictions(np.array([0, 1, 1]), probabilities.argmax(axis=1), probabilities)
    assert found.wrong.tolist() == [False, True, False]
    assert found.confidence.tolist() == probabilities.max(axis=1).tolist()
