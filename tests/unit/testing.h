/* testing.h: what every unit test includes: cmocka, and a few checks of the project's own. */
#ifndef SG_TESTING_H
#define SG_TESTING_H

#include "base/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The call succeeds; prints the error text otherwise. */
#define assert_ok(call)                                                         \
    do {                                                                        \
        sg_status assert_status_ = (call);                                      \
        if (assert_status_ != SG_OK)                                            \
            fail_msg("%s: %s (%s)", #call, sg_error_text(), sg_error_origin()); \
    } while (0)

/* The call fails with `status` and an error text that holds `part`. */
#define assert_fails(wanted, part, call)                                                \
    do {                                                                                \
        assert_int_equal((call), (wanted));                                             \
        if (!strstr(sg_error_text(), (part)))                                           \
            fail_msg("%s: error text '%s' lacks '%s'", #call, sg_error_text(), (part)); \
    } while (0)

/* A fresh folder under $TMPDIR or /tmp, into folder[128]. */
static inline void make_test_folder(char folder[128])
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, 128, "%.90s/sipgpu_test_XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
}

#endif
