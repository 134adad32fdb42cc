/* log.h: what a person sees while a command runs.  Everything here goes to standard error, so that standard
 * output holds results only.  On a terminal the progress line is rewritten in place; elsewhere it becomes a
 * plain line now and then.
 *
 * A thread that does a job of its own beside others can be given a sink: a stream that takes all that this
 * thread has to say, as plain lines.
 */
#ifndef SG_BASE_LOG_H
#define SG_BASE_LOG_H

#include <stdbool.h>
#include <stdio.h>

typedef enum { SG_LOG_QUIET, SG_LOG_NORMAL, SG_LOG_VERBOSE } sg_log_level;

/* The level of this thread's sink; without one, of the process: set that before any thread starts. */
void sg_log_set_level(sg_log_level level);
sg_log_level sg_log_get_level(void);

/* From now on this thread writes to `sink` instead of standard error, at SG_LOG_NORMAL whatever
 * the level of the process; NULL: as before.  Threads that it starts have no part in it.  The caller keeps
 * the stream. */
void sg_log_set_sink(FILE *sink);

/* One line to standard error (newline added), after clearing a progress line. */
void sg_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sg_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Shown with --verbose only. */
void sg_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "sipgpu: " and the text of this thread's last error, with --verbose also where it arose; ends a progress
 * line. */
void sg_log_error(void);

/* Replaces the progress line.  Without a terminal, prints a plain line at most every 15 seconds, or now if
 * `milestone` is set. */
void sg_progress(bool milestone, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the progress line, so that what follows starts on a line of its own. */
void sg_progress_end(void);

/* Seconds on a clock that only goes forward. */
double sg_seconds(void);

/* Writes `seconds` as "42 s", "3 min 05 s" or "1 h 12 min" into text[32]; returns text. */
const char *sg_duration_text(double seconds, char text[32]);

#endif
