"""How much sooner is a GridSearchCV done in two threads than in one, and what does it take?

12 settings of MLPClassifier, 3 folds, on a table that is made up; the same scores in each way.
Threads share X; each fit has its fold of it, which scikit-learn cuts.
"""

import statistics
import warnings

from estimators import made_up
from harness import alternate, one_thread, options, peak_memory, report, summary

from bpnet.estimators import MLPClassifier

GRID = {"hidden_layer_sizes": [(32,), (64,), (100,)], "alpha": [1e-5, 1e-4, 1e-3, 1e-2]}
WORKERS = (1, 2)


def main():
    import joblib
    from sklearn.model_selection import GridSearchCV

    arguments = options(__doc__, turns=5).parse_args()
    one_thread(bind=False)
    warnings.simplefilter("ignore")  # that a few epochs do not converge
    (x, y, _, _), _ = made_up(40000, 54, 7)(arguments.data)
    model, scores = MLPClassifier(max_iter=5, random_state=0), {}

    def search(workers):
        with joblib.parallel_backend("threading", n_jobs=workers):
            found = GridSearchCV(model, GRID, cv=3, refit=False).fit(x, y)
        scores[workers] = found.cv_results_["mean_test_score"].tolist()

    before = peak_memory()
    seconds = alternate(
        {n: lambda n=n: search(n) for n in WORKERS},
        arguments.turns,
    )
    rows = [
        {
            "Python threads": n,
            **summary(seconds[n], "search, s"),
            "times faster": statistics.median(seconds[1]) / statistics.median(seconds[n]),
            "best score": max(scores[n]),
            "same scores": "yes" if scores[n] == scores[1] else "NO",
        }
        for n in WORKERS
    ]
    report(
        f"GridSearchCV over {len(GRID['alpha']) * len(GRID['hidden_layer_sizes'])} settings",
        rows,
        arguments.save,
        turns=arguments.turns,
        x_mb=x.nbytes / 1e6,
        peak_before_mb=before,
        peak_mb=peak_memory(),
    )


if __name__ == "__main__":
    main()
