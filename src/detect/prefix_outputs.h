/* prefix_outputs.h: what the network says of every beginning of the dialogs in a trie. */
#ifndef SG_DETECT_PREFIX_OUTPUTS_H
#define SG_DETECT_PREFIX_OUTPUTS_H

#include "detect/prefixes.h"
#include "engine/engine.h"

/* Runs every node but the root, padded as the network's dialogs are; entry n - 1 of *outputs, which this
 * allocates, is node n.  The engine holds the weights.  With `what` not NULL, reports progress under that
 * name. */
sg_status sg_prefix_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                const char *what, sg_outputs *outputs);

#endif
