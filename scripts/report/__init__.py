"""What is made of results: of experiments (results reads, words and markdown say, figures_* and page draw, reproduction judges,
command is scripts/make_report), and of the study of settings (study, which is scripts/study_stability)."""
