/* corpus_json.h: the statistics of a corpus as one JSON object: `corpus info --json`, and corpus.json of an
 * experiment.
 */
#ifndef SG_CORPUS_CORPUS_JSON_H
#define SG_CORPUS_CORPUS_JSON_H

#include "corpus/statistics.h"
#include <cjson/cJSON.h>

/* The caller owns the object. */
cJSON *sg_corpus_json(const char *path, const sg_corpus *corpus, const sg_corpus_statistics *statistics);

#endif
