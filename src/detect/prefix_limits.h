/* prefix_limits.h: how different from the training dialogs an unfinished dialog may look, by its length.
 *
 * The paper's limits (threshold.h) are for whole dialogs.  The network is less sure of a beginning that
 * several dialogs share, so each length k has limits of its own: the SG_PREFIX_QUANTILE quantile of each
 * moment over all train dialogs of k messages or more, each cut after k messages and padded as the model is.
 * At every length, at most that share of the training dialogs is below the limit of a moment.
 */
#ifndef SG_DETECT_PREFIX_LIMITS_H
#define SG_DETECT_PREFIX_LIMITS_H

#include "detect/prefixes.h"
#include "engine/engine.h"
#include "model/model.h"

#define SG_PREFIX_QUANTILE 0.005

/* Runs the network over every prefix of the model's train dialogs, and stores the limits in the model.  The
 * engine holds the model's weights. */
sg_status sg_prefix_limits_fit(sg_model *model, sg_engine *engine);

#endif
