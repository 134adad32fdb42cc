/* prefix_scores.h: what the network says of every beginning of the train dialogs. */
#ifndef SG_DETECT_PREFIX_SCORES_H
#define SG_DETECT_PREFIX_SCORES_H

#include "detect/prefixes.h"
#include "engine/engine.h"

/* Every node but the root as a sequence [count - 1, steps], zeros after length[count - 1] messages; entry n -
 * 1 is node n. */
void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length);

/* Runs the network over all nodes but the root, each padded as the spec says; entry n - 1 of `outputs` is
 * node n.  The engine holds the weights.  SG_E_CONFIG if there is no node but the root.  Release `outputs`
 * with sg_outputs_free, also after a failure. */
sg_status sg_prefix_scores(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                           sg_outputs *outputs);

#endif
