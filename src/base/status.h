/* status.h: how functions report failure.
 *
 * Every function that can fail returns an sg_status.  The function that finds the fault calls sg_fail() with
 * a message that says what went wrong, where, and what to do.  Callers return the status with SG_TRY. Only
 * main() prints the message and exits.  Each thread keeps its last message.
 */
#ifndef SG_BASE_STATUS_H
#define SG_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    SG_OK = 0,
    SG_E_USAGE,       /* the command line is wrong: exit code 2 */
    SG_E_CONFIG,      /* a configuration or request that cannot be carried out */
    SG_E_IO,          /* the operating system refused */
    SG_E_FORMAT,      /* a file has the wrong format or is damaged */
    SG_E_MEMORY,      /* out of memory */
    SG_E_NUMERIC,     /* a loss, weight or gradient is not finite */
    SG_E_DEVICE,      /* a processor, driver or library cannot do what was asked */
    SG_E_INTERRUPTED, /* stopped by a signal, state saved */
    SG_E_INTERNAL     /* a defect of this program */
} sg_status;

/* Records the message (printf form, no trailing newline, at most 1023 bytes) and returns `status`. */
sg_status sg_fail_at(const char *file, int line, sg_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the recorded message; returns `status`.  For callers that know which file or key is
 * meant. */
sg_status sg_fail_prefix(sg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message of this thread's last sg_fail, "" if none.  Control bytes are replaced by '?'. */
const char *sg_error_text(void);

/* Where the message was recorded, "file:line"; for --verbose. */
const char *sg_error_origin(void);

/* The process exit code that `status` means: 0, 1 or 2. */
int sg_exit_code(sg_status status);

#define sg_fail(status, ...) sg_fail_at(__FILE__, __LINE__, (status), __VA_ARGS__)

/* Returns from the calling function if `call` failed. */
#define SG_TRY(call)                \
    do {                            \
        sg_status sg_try_ = (call); \
        if (sg_try_ != SG_OK)       \
            return sg_try_;         \
    } while (0)

/* Sets `status` and jumps to `label` if `call` failed, for functions with something to release. */
#define SG_TRY_GOTO(status, label, call) \
    do {                                 \
        (status) = (call);               \
        if ((status) != SG_OK)           \
            goto label;                  \
    } while (0)

#endif
