/* import.h: dialogs of captures into a corpus, by the same tracker that `watch` uses. */
#ifndef SG_CAPTURE_IMPORT_H
#define SG_CAPTURE_IMPORT_H

#include "base/options.h"
#include "capture/capture.h"
#include "corpus/import.h"
#include "sip/alphabet.h"
#include "sip/tracker.h"

typedef struct {
    const sg_text_list *files;
    const char *filter; /* BPF, "" for none */
    sg_type_rule rule;
    sg_repeats repeats;
    bool ended_only;      /* leave out dialogs that were cut off, silent, or began before the capture */
    int64_t messages_max; /* kept of a dialog */
    int64_t duplicates_us;
} sg_capture_import;

typedef struct {
    sg_counts counts;
    sg_tracker_counts tracker;
    uint64_t not_sip, unfinished; /* messages that cannot be read; dialogs left out */
    uint64_t untyped;             /* messages without a type that can be named */
} sg_capture_import_report;

/* Adds every dialog to `import`.  A Call-ID that begins anew after its end is "<call id>#2", ...; bytes that
 * are not printable become '?'. */
sg_status sg_capture_import_read(sg_import *import, const sg_capture_import *options,
                                 sg_capture_import_report *report);

#endif
