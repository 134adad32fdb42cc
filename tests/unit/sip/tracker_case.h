/* tracker_case.h: dialogs told line by line, for the tests of the tracker and the sources. */
#ifndef SG_TRACKER_CASE_H
#define SG_TRACKER_CASE_H

#include "sip/tracker.h"
#include "sip_case.h"

/* What of a message matters to the tracker; NULL or 0: the usual. */
typedef struct {
    const char *what; /* "INVITE" or "200 INVITE" */
    const char *call_id, *branch, *from_tag, *to_tag, *headers;
    int cseq;
    unsigned from, to; /* hosts; 1 and 2 */
} line;

static inline void write_line(char *text, size_t size, line l)
{
    static int branches;
    char branch[32];
    const char *space = strchr(l.what, ' ');
    snprintf(branch, sizeof branch, "%d", ++branches); /* none is a copy unless it says so */
    int at = space ? snprintf(text, size, "SIP/2.0 %.*s Reason\r\n", (int)(space - l.what), l.what)
                   : snprintf(text, size, "%s sip:user@host SIP/2.0\r\n", l.what);
    snprintf(text + at, size - (size_t)at,
             "Via: SIP/2.0/UDP h;branch=z9hG4bK%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n"
             "From: <sip:a@h>;tag=%s\r\nTo: <sip:b@h>%s%s\r\n%s\r\n",
             l.branch ? l.branch : branch, l.call_id ? l.call_id : "call", l.cseq ? l.cseq : 1,
             space ? space + 1 : l.what, l.from_tag ? l.from_tag : "f", l.to_tag && *l.to_tag ? ";tag=" : "",
             l.to_tag ? l.to_tag : "", l.headers ? l.headers : "");
}

/* Ends that a tracker told of, in order. */
typedef struct {
    int count;
    sg_end last;
    int by_end[SG_ENDS];
    char call_id[64], types[256];
    sg_dialog dialog; /* a copy; its pointers are gone */
} ends;

static inline void note_end(void *context, sg_dialog *dialog, sg_end end)
{
    ends *e = context;
    e->count++;
    e->last = end;
    e->by_end[end]++;
    e->dialog = *dialog;
    snprintf(e->call_id, sizeof e->call_id, "%s", dialog->call_id);
    e->types[0] = '\0';
    for (uint32_t n = 0; n < dialog->length && n < 60; n++)
        snprintf(e->types + strlen(e->types), sizeof e->types - strlen(e->types), "%s%d", n ? " " : "",
                 dialog->types[n]);
}

static inline sg_tracked say_line(sg_tracker *tracker, double seconds, line l)
{
    char text[8192];
    sg_sip_message message;
    sg_tracked tracked;
    write_line(text, sizeof text, l);
    assert_true(sg_sip_read(&message, text, strlen(text)));
    sg_flow flow = flow_at(seconds, l.from ? l.from : 1, l.to ? l.to : 2);
    assert_ok(sg_tracker_add(tracker, &message, &flow, 1, &tracked));
    return tracked;
}

/* say(tracker, 1.5, "INVITE", .cseq = 2) */
#define say(tracker, seconds, ...) say_line((tracker), (seconds), (line){.what = __VA_ARGS__})

#endif
