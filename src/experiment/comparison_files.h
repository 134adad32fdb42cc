/* comparison_files.h: the files that `detect` and `experiment` write of a comparison and of early detection.
 */
#ifndef SG_EXPERIMENT_COMPARISON_FILES_H
#define SG_EXPERIMENT_COMPARISON_FILES_H

#include "experiment/comparison.h"
#include "experiment/early.h"

/* comparison.csv, comparison.md, paired.csv, and roc_<score>.csv of the scores without a network. */
enum { SG_COMPARISON_FILES = 3 + SG_BASELINE_ROCS };
/* early.csv, early.md, early_position.csv. */
enum { SG_EARLY_FILES = 3 };

/* Name and content of file i. */
void sg_comparison_file_name(int i, char name[64]);
sg_status sg_comparison_file_write(const sg_comparison *comparison, int i, FILE *out);
void sg_early_file_name(int i, char name[64]);
sg_status sg_early_file_write(const sg_early *early, int i, FILE *out);

#endif
