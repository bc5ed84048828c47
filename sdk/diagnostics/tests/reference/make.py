"""Makes reference.json: what NumPy, SciPy and scikit-learn say of small random inputs, by the definitions as published.

    pip install numpy scipy scikit-learn
    python make.py > reference.json

Nothing here shares code with the crate: matrices are d x d, inverses are inverses, loops run over pairs.
"""

import json
import sys
from math import acos, degrees, exp, log

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import roc_auc_score, silhouette_score

rng = np.random.default_rng(20261121)


def rounded(array, digits=4):
    """Inputs are written with few digits and used as written."""
    return np.round(np.asarray(array, dtype=float), digits)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def probe_auroc(vectors, positive, folds=5):
    """Mean over folds of the AUROC of the difference of training means; i-th sample of a class in fold i mod k."""
    folds = min(folds, positive.sum(), (~positive).sum())
    fold = np.empty(len(positive), dtype=int)
    for label in (False, True):
        places = np.flatnonzero(positive == label)
        fold[places] = np.arange(len(places)) % folds
    scores = []
    for k in range(folds):
        train, test = fold != k, fold == k
        direction = vectors[train & positive].mean(0) - vectors[train & ~positive].mean(0)
        scores.append(roc_auc_score(positive[test], vectors[test] @ direction))
    return float(np.mean(scores))


def x_boundary(shift, sizes, width):
    """Classes 0 harmful, 1 safe, 2 boundary, mixed; a large common offset, as residual streams have."""
    labels = rng.permutation(np.repeat([0, 1, 2], sizes))
    centres = rng.normal(size=(3, width)) * shift
    vectors = rounded(rng.normal(size=(len(labels), width)) + centres[labels] + 5 * rng.normal(size=width))
    harmful, safe, boundary = (vectors[labels == label] for label in (0, 1, 2))
    c_h, c_s, c_b = harmful.mean(0), safe.mean(0), boundary.mean(0)

    def statistics(order):
        """Of the harmful and safe samples in this order, the first as many as there are harmful ones taken for those."""
        h, s = vectors[order[: len(harmful)]], vectors[order[len(harmful) :]]
        is_harmful = np.arange(len(order)) < len(harmful)
        distance = np.linalg.norm(s.mean(0) - h.mean(0))
        ratio = np.linalg.norm(c_b - s.mean(0)) / np.linalg.norm(c_b - h.mean(0))
        fisher = distance**2 / (h.var(0).sum() + s.var(0).sum())
        silhouette = silhouette_score(vectors[order], is_harmful)
        return [distance, log(ratio), fisher, silhouette, probe_auroc(vectors[order], is_harmful)]

    pair = np.r_[np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)]
    permuted = [statistics(rng.permutation(pair)) for _ in range(1000)]
    resampled = []
    for _ in range(4000):
        h, s, b = (x[rng.integers(0, len(x), len(x))] for x in (harmful, safe, boundary))
        resampled.append(
            [
                np.linalg.norm(s.mean(0) - h.mean(0)),
                np.linalg.norm(b.mean(0) - s.mean(0)) / np.linalg.norm(b.mean(0) - h.mean(0)),
            ]
        )
    observed = statistics(pair)
    across = c_h - c_s
    return {
        "vectors": vectors.tolist(),
        "labels": labels.tolist(),
        "separation_score": float(np.linalg.norm(c_s - c_h)),
        "boundary_ratio": float(np.linalg.norm(c_b - c_s) / np.linalg.norm(c_b - c_h)),
        "dist_bound_safe": float(np.linalg.norm(c_b - c_s)),
        "dist_bound_harmful": float(np.linalg.norm(c_b - c_h)),
        "cosine_safe_harmful": cosine(c_s, c_h),
        "cosine_boundary_safe": cosine(c_b, c_s),
        "cosine_boundary_harmful": cosine(c_b, c_h),
        "fisher_ratio": float(observed[2]),
        "silhouette": float(observed[3]),
        "silhouette_three": float(silhouette_score(vectors, labels)),
        "auroc": float(observed[4]),
        "mean_norm": float(np.linalg.norm(vectors, axis=1).mean()),
        "places": ((vectors - c_s) @ across / (across @ across)).tolist(),
        "null_mean": np.mean(permuted, 0).tolist(),
        "null_sd": np.std(permuted, 0, ddof=1).tolist(),
        "interval": np.percentile(resampled, [2.5, 97.5], axis=0).T.tolist(),
        "resampled_sd": np.std(resampled, 0).tolist(),
    }


def logdet(matrix):
    sign, value = np.linalg.slogdet(matrix)
    return sign * value


def coding_rate(vectors, labels, eps=0.1):
    """As DeepScan writes it, d x d."""
    z = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    m, d = z.shape
    whole = d * log(d) / 2 + logdet(np.eye(d) / d + z.T @ z / (m * eps)) / 2
    same = 0.0
    for label in np.unique(labels):
        part = z[labels == label]
        same += (d * log(d) + logdet(np.eye(d) / d + part.T @ part / (len(part) * eps))) * len(part) / (2 * m)
    return whole, same


def effective_rank(vectors):
    centred = vectors - vectors.mean(0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    a = directions.T @ directions / len(vectors)
    s = np.linalg.svd(a / np.trace(a), compute_uv=False)
    s = s[s > 0]
    return exp(-np.sum(s * np.log(s)))


def deepscan_distances(vectors, labels):
    ordered = vectors[np.argsort(labels, kind="stable")]
    classes = len(np.unique(labels))
    step = len(ordered) // classes
    rows = []
    for i in range(classes):
        for j in range(i + 1, classes):
            x, y = ordered[i * step : (i + 1) * step], ordered[j * step : (j + 1) * step]
            u, v = x - x.mean(), y - y.mean()
            pcc = (u / np.linalg.norm(u, axis=0) * (v / np.linalg.norm(v, axis=0))).mean()
            euclidean = cdist(x, y)
            hausdorff = max(euclidean.min(1).max(), euclidean.min(0).max())
            paired = np.mean([cosine(a, b) for a, b in zip(x, y)])
            rows.append([paired, pcc, euclidean.mean(), cdist(x, y, "cityblock").mean(), hausdorff])
    mean = np.mean(rows, 0)
    return {"cos_sim": degrees(acos(mean[0])), "pcc": mean[1], "L2": mean[2], "L1": mean[3], "hausdorff": mean[4]}


def geometry(vectors, labels):
    rows, within = [], []
    classes = [vectors[labels == label] for label in np.unique(labels)]
    for i, x in enumerate(classes):
        within.append(np.mean(1 - pdist(x, "cosine")))
        for y in classes[i + 1 :]:
            across = cdist(x, y).mean()
            energy = 2 * across - cdist(x, x).mean() - cdist(y, y).mean()
            correlation = stats.pearsonr(x.mean(0), y.mean(0)).statistic
            rows.append([(1 - cdist(x, y, "cosine")).mean(), correlation, across, energy])
    between, correlation, l2, energy = np.mean(rows, 0)
    return {
        "between_class_cosine": between,
        "within_class_cosine": float(np.mean(within)),
        "centroid_correlation": correlation,
        "mean_pairwise_l2": l2,
        "energy_distance": energy,
        "energy_coefficient": energy / (2 * l2),
    }


def tellme(sizes, width, shift):
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = rng.normal(size=(len(sizes), width)) * shift
    vectors = rounded(rng.normal(size=(len(labels), width)) * rng.exponential(size=width) + centres[labels] + 1)
    whole, same = coding_rate(vectors, labels)
    permuted = [whole - coding_rate(vectors, rng.permutation(labels))[1] for _ in range(500)]
    return {
        "vectors": vectors.tolist(),
        "labels": labels.tolist(),
        "R_diff": whole,
        "R_same": same,
        "R_gap": whole - same,
        "erank": effective_rank(vectors),
        "null_mean": float(np.mean(permuted)),
        "null_sd": float(np.std(permuted, ddof=1)),
        **deepscan_distances(vectors, labels),
        "geometry": geometry(vectors, labels),
    }


def hsic_ncca(x, y, kernel, sigma=50.0):
    """DeepScan's hsic_normalized_cca in float64."""
    d = len(x)

    def operator(v):
        distances = np.abs(v[:, None] ** 2 - 2 * np.outer(v, v) + v[None] ** 2)
        if kernel == "gaussian" and sigma:
            k = np.exp(-distances / (2 * sigma * sigma))
        elif kernel == "gaussian":
            twice = np.r_[v, v]
            every = np.abs(twice[:, None] ** 2 - 2 * np.outer(twice, twice) + twice[None] ** 2)
            every = every[np.tril_indices(len(twice), -1)]
            median = np.median(every)
            median = median if median > 0 else np.mean(every)
            k = np.exp(-distances / (2 * max(median, 1e-2) ** 2))
        elif kernel == "linear":
            k = np.outer(v, v)
        else:
            k = 1 / np.sqrt(distances + 1)
        centred = k @ (np.eye(d) - np.ones((d, d)) / d)
        return centred @ np.linalg.inv(centred + 1e-5 * d * np.eye(d))

    return float(np.sum(operator(x) * operator(y).T))


def mi_peaks():
    width = 160
    reference = rng.normal(size=width)
    steps = {
        "alike": 0.9 * reference + 0.4 * rng.normal(size=width),
        "unrelated": rng.normal(size=width),
        "large": 40 * (reference + rng.normal(size=width)),
        "heavy-tailed": 5 * rng.standard_t(2, size=width),
        "massive": np.where(np.arange(width) == 7, 900.0, rng.normal(size=width)),
        "small": 0.001 * rng.normal(size=width),
        "itself": reference,
    }
    reference = rounded(reference)
    steps = {name: rounded(step, 6) for name, step in steps.items()}
    kernels = [("gaussian", 50.0), ("gaussian", 2.0), ("gaussian", 0.0), ("linear", 50.0), ("IMQ", 50.0)]
    return {
        "reference": reference.tolist(),
        "steps": {name: step.tolist() for name, step in steps.items()},
        "squared_correlation": {n: float(np.corrcoef(s, reference)[0, 1] ** 2) for n, s in steps.items()},
        "values": [
            {"ktype": ktype, "sigma": sigma, "mi": {n: hsic_ncca(s, reference, ktype, sigma) for n, s in steps.items()}}
            for ktype, sigma in kernels
        ],
    }


def hypergeometric():
    cases = [(1000, 30, 40, 5), (1000, 30, 40, 0), (50, 40, 30, 21), (131072, 131, 131, 3), (131072, 131, 131, 42)]
    cases += [(10_000_000, 5000, 5000, 20), (1000, 500, 400, 150), (20, 7, 0, 0)]
    rows = []
    for weights, first, second, coupled in cases:
        law = stats.hypergeom(weights, first, second)
        rows.append([weights, first, second, coupled, law.mean(), law.std(), float(law.logsf(coupled - 1))])
    return rows


def scatter():
    vectors = rounded(rng.normal(size=(45, 12)) * np.r_[6, 3, np.ones(10)] + 20 * (np.arange(45) % 3)[:, None] / 3)
    pca = PCA(n_components=2, svd_solver="full").fit(vectors)
    tsne = TSNE(perplexity=10, random_state=42).fit_transform(vectors.astype(np.float32))
    return {
        "vectors": vectors.tolist(),
        "points": pca.transform(vectors).tolist(),
        "explained": pca.explained_variance_ratio_.tolist(),
        "tsne_trustworthiness": float(trustworthiness(vectors, tsne, n_neighbors=7)),
    }


json.dump(
    {
        "x_boundary": [x_boundary(0.4, [14, 11, 9], 10), x_boundary(0.0, [12, 12, 12], 16), x_boundary(3.0, [7, 9, 8], 20)],
        "tellme": [tellme([15, 15], 12, 0.5), tellme([12, 12], 40, 1.0), tellme([9, 14, 10], 20, 0.3)],
        "mi_peaks": mi_peaks(),
        "hypergeometric": hypergeometric(),
        "scatter": scatter(),
    },
    sys.stdout,
    separators=(",", ":"),
)
