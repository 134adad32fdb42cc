/* outputs.h: what the network says of dialogs, and of every beginning of the dialogs in a trie. */
#ifndef SG_DETECT_OUTPUTS_H
#define SG_DETECT_OUTPUTS_H

#include "corpus/corpus.h"
#include "detect/prefixes.h"
#include "engine/engine.h"

/* The message types of a dialog, or of its beginning; borrowed. */
typedef struct {
    const uint16_t *types; /* [length] */
    int length;
} sg_dialog_types;

/* Pads the dialogs as the network's are and runs all of them; outputs are numbered as the dialogs, which
 * should differ (equal ones are run again).  The engine holds the weights.  SG_E_CONFIG: a dialog is empty or
 * longer than the network's L.  Allocates *outputs; release with sg_outputs_free, also after a failure. */
sg_status sg_outputs_run(sg_engine *engine, const sg_spec *spec, const sg_dialog_types *dialogs, int count,
                         bool probabilities, sg_outputs *outputs);

/* The same of every class of a corpus, whose dialogs may be padded to another length. */
sg_status sg_outputs_run_classes(sg_engine *engine, const sg_spec *spec, const sg_corpus *corpus,
                                 bool probabilities, sg_outputs *outputs);

/* Every node of a trie but the root as a sequence [count - 1, steps], which the caller has zeroed, and its
 * length; entry n - 1 is node n. */
void sg_prefixes_list(const sg_prefixes *prefixes, int steps, uint16_t *sequence, uint16_t *length);

/* Runs every node but the root; entry n - 1 of *outputs is node n.  With `what` not NULL, reports progress
 * under that name.  SG_E_CONFIG if there is no node but the root.  *outputs as above. */
sg_status sg_outputs_run_prefixes(sg_engine *engine, const sg_spec *spec, const sg_prefixes *prefixes,
                                  const char *what, sg_outputs *outputs);

#endif
