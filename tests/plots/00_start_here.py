# Runs as a last cell of lesson 00 and asserts the data behind each plot.
from flight_delays.evaluation import compare_holdouts

# late-by-month
assert late_share.index.tolist() == list(range(1, 13))
assert best == "Sep" and worst == "Dec" and 12 < late_share.min() < 15 < 33 < late_share.max() < 35
assert abs(late_share[12] - 100 * flights.loc[flights["departure"].dt.month == 12, "late"].mean()) < 1e-9

# pairs-plot
assert len(so_far) == pairs and so_far[0] in (0, 1)
assert abs(so_far[-1] - random_auc) < 0.04, "the share of right pairs is what ROC AUC says"

# days-plot
assert len(day_aucs) == draws and len(set(day_aucs)) == draws
followed_gap = np.mean(day_aucs) - later_auc
assert abs(followed_gap) < random_auc - later_auc, "whole days promise less than random flights"
same = compare_holdouts(flights, date.fromisoformat(trained_through), seed)
assert (same.random, same.following) == (random_auc, later_auc), "the service measures the same"

# by-month-plot
assert scores.index.tolist() == list(range(1, 13))
last_learned = pd.Timestamp(trained_through).month
assert first_to_come == last_learned + 1 and len(auc_to_come) == 12 - last_learned
assert scores["roc_auc"].between(0.6, 0.85).all() and auc_to_come.idxmin() == 11
assert 0 < below <= len(auc_to_come) and below == sum(auc < random_auc for auc in auc_to_come)

# calibration-plot
assert abs(happened - late_share).max() < 1e-9 and said.between(15, 40).all()
assert set((said - happened).loc[first_to_come:].abs().nlargest(1).index) == {widest}
assert off[9] > 5 and off[12] < -5, "too high in September, too low in December"

# lines-plot
assert 0 < training_share < model_share < 0.5 and abs(sum(shares[1:]) - 100) < 1e-9

# progress
drawn = picture(course_root(Path(machine.__file__)), Progress()).axes[0]
assert len(drawn.get_yticklabels()) >= 1 and "exercises correct" in drawn.get_title("left")
