/* tracker.h: SIP dialogs, followed by Call-ID from the first message to the end (RFC 3261, 12, 13.3.1.4, 15,
 * 17).
 *
 * A dialog here is everything with one Call-ID, including forks and legs, until it ends:
 *   call        BYE and any final answer (or none), a refusal, or a CANCEL with its 487; each is followed by
 *               `linger_s` of silence, in which copies, ACKs and retries with credentials still belong to it
 *   unanswered  32 s without a provisional answer, 3 min after one; 64 s without an ACK to a 2xx
 *   silent      an established call without a message for `established_s`: open, not abnormal
 *   others      REGISTER, OPTIONS, MESSAGE, ...: a final answer and `linger_s` of silence, or none in 32 s
 *   subscribed  SUBSCRIBE or REFER: NOTIFY with Subscription-State: terminated, or expiry
 * A Call-ID used again after its end begins a new dialog.
 *
 * Time is that of the messages, in ticks of 1/8 s.  It never runs backwards: messages up to 60 s late are
 * taken as of now, a step back by more counts as no time passed, and a step ahead by more than 60 s is
 * believed when a second message confirms it, so that one false time stamp ends no dialogs but its own.
 *
 * Memory is bounded in dialogs, messages a dialog, and bytes; at a limit the dialog that has been idle
 * longest is evicted. Call-IDs are compared whole, by a keyed hash of 128 bits; SG_CALL_ID_KEPT bytes of each
 * are kept as text. One tracker belongs to one thread.
 */
#ifndef SG_SIP_TRACKER_H
#define SG_SIP_TRACKER_H

#include "base/status.h"
#include "sip/endpoint.h"
#include "sip/message.h"
#include "sip/retransmission.h"

enum { SG_CALL_ID_KEPT = 1023, SG_DIALOG_TAGS = 4, SG_DIALOG_ADDRESSES = 6 };

typedef enum {
    SG_DIALOG_REQUESTED,   /* a request, no final answer yet */
    SG_DIALOG_CALLING,     /* an INVITE, no answer yet */
    SG_DIALOG_PROCEEDING,  /* a provisional answer to it */
    SG_DIALOG_ANSWERED,    /* a 2xx to it, no ACK yet */
    SG_DIALOG_ESTABLISHED, /* acknowledged */
    SG_DIALOG_CANCELLING,  /* CANCEL, no final answer to the INVITE yet */
    SG_DIALOG_ENDING,      /* BYE, no answer yet */
    SG_DIALOG_SUBSCRIBED,  /* a 2xx to SUBSCRIBE or REFER */
    SG_DIALOG_STRAY,       /* capture began in the middle; state unknown */
    /* Over, waiting for stragglers: */
    SG_DIALOG_COMPLETED,
    SG_DIALOG_REFUSED,
    SG_DIALOG_CANCELLED,
    SG_DIALOG_STATES
} sg_dialog_state;

typedef enum {
    SG_END_COMPLETE,  /* as the protocol has it */
    SG_END_REFUSED,   /* the final answer was 3xx to 6xx */
    SG_END_CANCELLED, /* CANCEL and 487 */
    SG_END_TIMED_OUT, /* an answer or ACK never came */
    SG_END_OPEN,      /* established or subscribed, and silent */
    SG_END_STRAY,     /* never had a beginning */
    SG_END_EVICTED,   /* room was needed */
    SG_END_FLUSHED,   /* the capture ended */
    SG_ENDS
} sg_end;

/* Suspicions, as bits; of a message in sg_tracked.flags, of all so far in sg_dialog.flags. */
enum {
    SG_FLAG_STRAY_REQUEST = 1 << 0,  /* BYE, ACK, CANCEL, PRACK or UPDATE without an INVITE */
    SG_FLAG_STRAY_RESPONSE = 1 << 1, /* a response to a method that was not asked */
    SG_FLAG_SOURCE_CHANGE = 1 << 2, /* an in-dialog request or CANCEL from an address unknown to the dialog */
    SG_FLAG_ANSWER_SOURCE = 1 << 3, /* a response from an address unknown to the dialog */
    SG_FLAG_TAG_CHANGE = 1 << 4,    /* other tags inside an established dialog (12.2) */
    SG_FLAG_TRUNCATED = 1 << 5      /* more messages than are kept */
};
enum { SG_FLAG_BITS = 6 };

/* What is known about a dialog.  It belongs to the tracker: others may read it, and write only to the user
 * slot. */
typedef struct {
    const char *call_id;       /* the first SG_CALL_ID_KEPT bytes and a NUL; may hold NUL bytes itself */
    uint32_t call_id_length;   /* of what is kept */
    uint32_t call_id_whole;    /* as it was on the wire */
    uint64_t serial;           /* 1, 2, ... in order of beginning */
    int64_t start_us, last_us; /* the times that the first and the last message bore */
    sg_flow first;             /* the first message's */
    sg_sip_method first_method;
    sg_dialog_state state;
    uint16_t code;        /* the last final answer to the INVITE or first request; 0: none */
    uint16_t *types;      /* [length] the ids that sg_tracker_add was given */
    uint32_t length;      /* messages kept */
    uint32_t messages;    /* all, copies and those beyond the limit included */
    uint32_t repeats;     /* copies */
    uint32_t untyped;     /* messages of type 0, which have no place in types */
    uint32_t truncated;   /* messages beyond the limit */
    uint32_t tag_changes; /* messages with unexpected tags */
    uint32_t sources;     /* different addresses that sent, counted up to SG_DIALOG_ADDRESSES */
    uint32_t flags;
    uint32_t methods_seen;            /* requests: bit sg_sip_method */
    uint64_t from_tag;                /* hash of the From tag of the one who began; 0: none */
    uint64_t to_tags[SG_DIALOG_TAGS]; /* hashes of the other side's, forks included */
    uint32_t to_tag_count;
} sg_dialog;

typedef struct {
    sg_dialog *dialog; /* valid until the next call on the tracker; NULL: no Call-ID, not followed */
    bool fresh;        /* the message begins the dialog */
    bool repeated;     /* it is a copy */
    bool kept;         /* its type is the last of dialog->types */
    bool over;         /* by it the dialog is COMPLETED, REFUSED or CANCELLED, and was not before; not where a
                          retry is asked for (401, 407, 3xx) */
    uint32_t flags;    /* what it raised */
} sg_tracked;

/* Told of each dialog that ends; it must not call back into the tracker. */
typedef void (*sg_dialog_ended)(void *context, sg_dialog *dialog, sg_end end);

typedef struct {
    int64_t dialogs_max;    /* 1..2^26; 20000 */
    int64_t messages_max;   /* kept of a dialog, 1..SG_DIALOG_MESSAGES_MAX; 1024 */
    int64_t bytes_max;      /* all of the tracker's memory; 0: as much as dialogs_max need at 4 KiB each */
    int64_t linger_s;       /* 32 */
    int64_t established_s;  /* 14400 */
    int64_t subscription_s; /* the longest Expires that is believed; 14400 */
    int64_t quiet_s;        /* dialogs that begin this soon after the first are never strays; 32 */
    sg_repeats repeats;     /* SG_REPEATS_KEEP */
    bool any_seed;          /* take `seed` for the hash instead of a random one; for tests */
    uint64_t seed;
    size_t user_size;      /* bytes of the caller's in each dialog, zeroed when it begins; 0..4096 */
    sg_dialog_ended ended; /* NULL: nobody asks */
    void *context;
} sg_tracker_options;

enum { SG_DIALOG_MESSAGES_MAX = 32000 };

typedef struct {
    uint64_t messages, no_call_id;
    uint64_t repeats, untyped, truncated;
    uint64_t begun, ended[SG_ENDS];
    uint64_t evicted;               /* also those that were over, which end as they are */
    uint64_t dialogs, dialogs_peak; /* now, and at most */
    uint64_t bytes, bytes_peak;
    uint64_t steps_back, steps_ahead; /* of the clock, that were not followed */
    uint64_t flags[SG_FLAG_BITS];     /* messages that raised each */
} sg_tracker_counts;

typedef struct sg_tracker sg_tracker;

void sg_tracker_defaults(sg_tracker_options *options);

/* SG_E_CONFIG for a limit out of range, or bytes_max too small for the table and one dialog. */
sg_status sg_tracker_open(sg_tracker **tracker, const sg_tracker_options *options);
void sg_tracker_close(sg_tracker *tracker); /* NULL is fine; ends nothing: flush before */

/* Adds a message.  `type` is its id in the caller's alphabet or census, 0 for none.  Dialogs whose time is up
 * end first.  SG_E_MEMORY only if the system is out of memory. */
sg_status sg_tracker_add(sg_tracker *tracker, const sg_sip_message *message, const sg_flow *flow,
                         uint16_t type, sg_tracked *tracked);

/* Lets time pass without a message; this time is always trusted. */
void sg_tracker_advance(sg_tracker *tracker, int64_t time_us);

/* Ends all dialogs, longest idle first, with SG_END_FLUSHED; those that are over keep their own end. */
void sg_tracker_flush(sg_tracker *tracker);

void sg_tracker_counts_now(const sg_tracker *tracker, sg_tracker_counts *counts);

/* All dialogs, longest idle first; NULL at the end.  Make no other call on the tracker in between. */
sg_dialog *sg_tracker_first(const sg_tracker *tracker);
sg_dialog *sg_tracker_next(const sg_tracker *tracker, const sg_dialog *dialog);

/* The dialog of a Call-ID, or NULL; does not touch its age. */
sg_dialog *sg_tracker_find(const sg_tracker *tracker, sg_text call_id);

/* The caller's bytes in a dialog, 16-byte aligned. */
void *sg_dialog_user(const sg_dialog *dialog);

const char *sg_dialog_state_text(sg_dialog_state state); /* "established", ... */
const char *sg_end_text(sg_end end);                     /* "complete", ... */
const char *sg_flag_text(int bit);                       /* "stray request", ... */

#endif
