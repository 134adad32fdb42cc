"""study: which of the paper's settings train: the runs of configs/study.ini and what they say."""
