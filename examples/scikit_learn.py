"""A search, early stopping on data of one's own, and class weights, by bpnet.estimators.

    pip install "bpnet[sklearn,plot]"
    python examples/scikit_learn.py

Which digits are an 8?  One in ten: a rare class.  The search runs in two threads, which share
X, because the core computes without Python's lock; all else is as with scikit-learn's own.
"""

import joblib
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bpnet.estimators import MLPClassifier  # instead of: from sklearn.neural_network import ...


def main():
    """Search, train, draw and save."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y == 8, stratify=y, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, stratify=y, random_state=0)

    # How many neurons, and how much regularisation?
    network = MLPClassifier(learning_rate_init=0.01, max_iter=500, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network)
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(4,), (16,), (64,)],
        "mlpclassifier__alpha": [1e-4, 1e-2, 1, 10],
    }
    with joblib.parallel_backend("threading", n_jobs=2):
        search = GridSearchCV(pipeline, grid, scoring="balanced_accuracy").fit(x, y)
    print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}")

    # The best settings again, until a validation set of our own gets no better; a missed 8
    # counts as much as nine others taken for one.
    scaler = StandardScaler().fit(x)
    model = search.best_estimator_[-1].set_params(
        max_iter=1000, early_stopping=True, class_weight="balanced"
    )
    model.fit(scaler.transform(x), y, X_val=scaler.transform(x_val), y_val=y_val)
    print(f"stopped after {model.n_iter_} epochs; of the test set, as True and as predicted:")
    print(confusion_matrix(y_test, model.predict(scaler.transform(x_test))))

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(model.loss_curve_, color="#6F8799", label="training, with regularisation")
    axes.plot(model.validation_loss_curve_, color="#0072B2", label="validation")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log", title="Is it an 8?")
    axes.legend()
    figure.savefig("curves.png")

    # Where there is no bpnet: scikit-learn's own class, the same weights.
    joblib.dump(make_pipeline(scaler, model.to_sklearn()), "eights.joblib")


if __name__ == "__main__":
    main()
