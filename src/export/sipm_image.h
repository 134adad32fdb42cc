/* sipm_image.h: makes the bytes of a .sipm file in memory; sipm.c writes them. */
#ifndef SG_EXPORT_SIPM_IMAGE_H
#define SG_EXPORT_SIPM_IMAGE_H

#include "detect/prefixes.h"
#include "export/export.h"

/* The whole file for a model; `prefixes` is the trie of its train dialogs, `scores` the network's scores of
 * its nodes (entry n - 1 is node n).  *image is 64-byte aligned; release with free(). */
sg_status sg_sipm_image(const sg_model *model, const sg_prefixes *prefixes, const sg_outputs *scores,
                        sg_weights weights, void **image, size_t *bytes);

/* "fp32", "bf16", "int8". */
const char *sg_weights_name(sg_weights weights);

#endif
