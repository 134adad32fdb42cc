/* score_queue.h: beginnings of dialogs that wait for the network, in the order in which they came.
 *
 * Offline, a full batch is scored where it fills up.  Live, a thread takes batches from the queue; when it is
 * full the oldest request is shed and counted.  Either way requests come back in order.
 */
#ifndef SG_WATCH_SCORE_QUEUE_H
#define SG_WATCH_SCORE_QUEUE_H

#include "detect/detector.h"
#include "sip/endpoint.h"
#include "sip/message.h"
#include "sip/tracker.h"
#include "watch/alert.h"
#include "watch/pending_packets.h"

enum { SG_SCORE_REQUEST_TEXT = 258 /* of a tag; more than an alert shows, so that it tells of the cut */ };

/* The alerts of a dialog so far. */
typedef struct {
    uint32_t raised;  /* bits of sg_reason */
    sg_reason reason; /* of the first */
    int position;
    int64_t time_us;
} sg_dialog_alerts;

/* A dialog as it was at one message; owns its copy. */
typedef struct {
    uint64_t serial; /* of the dialog */
    uint64_t number; /* of the request, in the order in which they are queued */
    int64_t start_us, time_us;
    sg_flow flow;
    bool response;
    bool over;  /* the dialog is: the last request of it, in which its end is reported */
    bool whole; /* and as a whole it is to be judged */
    char last[SG_SCORE_REQUEST_TEXT], from_tag[SG_SCORE_REQUEST_TEXT],
        to_tag[SG_SCORE_REQUEST_TEXT]; /* cut where they are longer */
    char *call_id;
    uint32_t call_id_length;
    bool call_id_cut;
    uint16_t *types; /* [length] */
    int length;
    sg_verdict verdict; /* once it is scored */

    /* With `over`: how it ended, what it is unless it has an alert, those it had so far, its messages. */
    sg_end end;
    int messages; /* of the dialog; length may be less */
    int outcome;  /* sg_outcome */
    sg_dialog_alerts alerts;
    sg_pending_dialog pending;
} sg_score_request;

typedef struct sg_score_queue sg_score_queue;

/* The queue alone asks the detector to judge; live, on a thread of its own. */
sg_status sg_score_queue_open(sg_score_queue **queue, sg_detector *detector, int batch, int waiting_max,
                              bool live);
void sg_score_queue_close(sg_score_queue *queue); /* NULL is fine; stops the thread, drops what waits */

/* Queues a request and empties *c; or hands over in *c the oldest one, which is shed for it (it has a call_id
 * then).  Offline this may score a batch. */
sg_status sg_score_queue_add(sg_score_queue *queue, sg_score_request *c);

/* The next request that has been scored, false if there is none yet; release with sg_score_request_free. */
bool sg_score_queue_next(sg_score_queue *queue, sg_score_request *c);

/* Takes the oldest request that waits out of the queue, unscored; false if there is none.  From the first
 * call on no more are scored, so that a later request is not decided before one that was taken out. */
bool sg_score_queue_withdraw(sg_score_queue *queue, sg_score_request *c);

/* Waits until all is scored.  Fails as the engine failed. */
sg_status sg_score_queue_finish(sg_score_queue *queue);

/* The engine's failure, if there was one. */
sg_status sg_score_queue_check(sg_score_queue *queue);

typedef struct {
    uint64_t scored, shed, batches, waiting;
    double seconds;
} sg_score_queue_counts;

void sg_score_queue_counts_now(sg_score_queue *queue, sg_score_queue_counts *counts);
void sg_score_request_free(sg_score_request *c);

#endif
