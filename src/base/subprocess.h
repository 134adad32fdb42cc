/* apart.h: work in a process of its own.
 *
 * libhdf5 does not check the heap that variable-length texts of a file lie in, and files of Keras have them:
 * a damaged one can end the process that reads it.
 */
#ifndef SG_BASE_SUBPROCESS_H
#define SG_BASE_SUBPROCESS_H

#include "base/status.h"

typedef sg_status (*sg_subprocess_work)(void *context);

/* Runs `work` in a copy of this process, which must have one thread, and passes on what it returns and the
 * error it recorded; what it prints is printed, what it changes in memory is lost.  If the copy crashes:
 * SG_E_FORMAT, `crashed` being the sentence. */
sg_status sg_subprocess_run(sg_subprocess_work work, void *context, const char *crashed);

#endif
