/* subprocess.h: work in a separate process.
 *
 * libhdf5 does not check the heap that holds a file's variable-length texts, and Keras files have such texts:
 * a damaged file can crash the process that reads it.
 */
#ifndef SG_BASE_SUBPROCESS_H
#define SG_BASE_SUBPROCESS_H

#include "base/status.h"

typedef sg_status (*sg_subprocess_work)(void *context);

/* Runs `work` in a copy of this process, which must have one thread.  Returns its status and its error
 * message.  What it prints is printed; what it changes in memory is lost.  If the copy crashes: SG_E_FORMAT
 * with the message `crashed`. */
sg_status sg_subprocess_run(sg_subprocess_work work, void *context, const char *crashed);

#endif
