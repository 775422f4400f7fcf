import numpy as np
from scipy.ndimage import distance_transform_edt
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from lungsight.datasets.phantom import Label, Phantom


def _with(phantoms: list[Phantom], label: Label) -> list[Phantom]:
    return [phantom for phantom in phantoms if phantom.label is label]


def _sides(phantom: Phantom) -> tuple[float, float]:
    """Share of the right and of the left lung that is diseased."""
    columns = np.nonzero(phantom.lung_mask)[1]
    middle = (columns.min() + columns.max()) // 2
    halves = (slice(None), slice(0, middle)), (slice(None), slice(middle, None))
    right, left = (phantom.lesion_mask[half].sum() / phantom.lung_mask[half].sum() for half in halves)
    return float(right), float(left)


def test_disease_lies_in_the_lungs(phantoms):
    for phantom in phantoms:
        assert not (phantom.lesion_mask & ~phantom.lung_mask).any()


def test_no_pneumonia_has_no_lesion(phantoms):
    assert not any(phantom.lesion_mask.any() for phantom in _with(phantoms, Label.NO_PNEUMONIA))


def test_every_pneumonia_can_be_seen(phantoms):
    shares = [p.lesion_mask.sum() / p.lung_mask.sum() for p in phantoms if p.label is not Label.NO_PNEUMONIA]
    assert min(shares) > 0.015
    assert 0.08 < np.median(shares) < 0.35
    assert max(shares) < 0.7


def test_covid19_is_bilateral(phantoms):
    assert all(min(_sides(phantom)) > 0 for phantom in _with(phantoms, Label.COVID19))


def test_other_pneumonia_is_in_one_lung(phantoms):
    assert all(min(_sides(phantom)) == 0 < max(_sides(phantom)) for phantom in _with(phantoms, Label.OTHER_PNEUMONIA))


def test_covid19_lies_at_the_chest_wall_and_consolidation_need_not(phantoms):
    def distance_from_wall(label: Label) -> float:
        """Mean distance of diseased pixels from the nearest outer border, relative to that of all lung pixels."""
        ratios = []
        for phantom in _with(phantoms, label):
            outside = np.zeros_like(phantom.lung_mask)
            for row, lung in enumerate(phantom.lung_mask):
                across = np.flatnonzero(lung)
                if len(across):
                    outside[row, : across[0]] = outside[row, across[-1] + 1 :] = True
            from_wall = distance_transform_edt(~outside)
            ratios.append(from_wall[phantom.lesion_mask].mean() / from_wall[phantom.lung_mask].mean())
        return float(np.mean(ratios))

    assert distance_from_wall(Label.COVID19) < 0.75
    assert distance_from_wall(Label.OTHER_PNEUMONIA) > 0.85


def test_consolidation_is_denser_than_ground_glass(phantoms):
    def brightening(label: Label) -> float:
        healthy = {phantom.seed: phantom.pixels for phantom in _with(phantoms, Label.NO_PNEUMONIA)}
        ill = _with(phantoms, label)
        return float(np.mean([(p.pixels - healthy[p.seed])[p.lesion_mask].mean() for p in ill]))

    assert brightening(Label.OTHER_PNEUMONIA) > 1.2 * brightening(Label.COVID19) > 0.02


def test_a_classifier_that_knows_the_truth_tells_the_labels_apart(phantoms):
    features = np.array([[min(_sides(p)), max(_sides(p))] for p in phantoms])
    labels = [phantom.label.value for phantom in phantoms]
    forest = RandomForestClassifier(50, random_state=0)
    assert cross_val_score(forest, features, labels, cv=4).mean() > 0.95
