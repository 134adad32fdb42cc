/* prefix_outputs.h: what the network says of every beginning of the dialogs in a trie. */
#ifndef SG_DETECT_PREFIX_OUTPUTS_H
#define SG_DETECT_PREFIX_OUTPUTS_H

#include "detect/prefixes.h"
#include "engine/engine.h"

/* Every node but the root as a sequence [count - 1, steps], which the caller has zeroed, and its length;
 * entry n - 1 is node n. */
void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length);

/* Runs every node but the root, padded as the network's dialogs are; entry n - 1 of *outputs, which this
 * allocates, is node n.  The engine holds the weights.  With `what` not NULL, reports progress under that
 * name.  SG_E_CONFIG if there is no node but the root.  Release *outputs with sg_outputs_free, also after a
 * failure. */
sg_status sg_prefix_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                const char *what, sg_outputs *outputs);

#endif
