"""Write pictures and a table of a job's mistakes into its folder."""

import csv
import io
from pathlib import Path

from src.data.images import Images
from src.pictures.confusion_matrix import draw_confusion_matrix
from src.pictures.rendering import render_png
from src.pictures.tiles import mistake_grid, picture_png
from src.runs.predictions import Predictions, class_accuracies, worst_mistakes
from src.storage.files import write_atomic


def write_mistakes(folder: Path, predictions: Predictions, images: Images) -> None:
    """Write two grids of the most confident mistakes, the confusion matrix and a table of each class's accuracy."""
    classes = images.source.classes
    for name, rows, columns in (("misclassified.png", 5, 5), ("misclassified_2x5.png", 2, 5)):
        indices = worst_mistakes(predictions, rows * columns)
        grid = mistake_grid(images.test_images, predictions, indices, classes, columns)
        write_atomic(folder / name, picture_png(grid))
    write_atomic(folder / "confusion_matrix.png", render_png(draw_confusion_matrix(predictions, classes)))
    table = io.StringIO()
    accuracies = class_accuracies(predictions, classes)
    writer = csv.DictWriter(table, fieldnames=list(accuracies[0]))
    writer.writeheader()
    writer.writerows(accuracies)
    write_atomic(folder / "per_class.csv", table.getvalue().encode())
