/* sipdetect.c: judges dialogs by an exported model.
 *
 *     cc -o sipdetect examples/sipdetect.c $(pkg-config --cflags --libs sipdetect)
 *     sipgpu export --model model.h5 --out model.sipm
 *     printf 'INVITE 100 180 200 ACK BYE 200\nBYE BYE\n' | ./sipdetect model.sipm
 *
 * Reads one dialog per line, as names of message types separated by spaces, and prints for each: the verdict
 * (known, prefix, new or abnormal, as `sipgpu watch` gives them), the message that raised the alarm or -,
 * skewness and kurtosis of the network's outputs, and how many dialogs of the train split begin like this.
 */
#include <sipgpu/sipdetect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(sipdetect_status status)
{
    if (status == SIPDETECT_OK)
        return;
    fprintf(stderr, "sipdetect: %s\n", sipdetect_error());
    exit(1);
}

/* Follows one dialog, message by message, as it would arrive from the network. */
static void judge(sipdetect_worker *worker, sipdetect_dialog *dialog, char *line)
{
    sipdetect_verdict v;
    int alarm = 0;
    sipdetect_dialog_reset(dialog);
    for (char *name = strtok(line, " \t\r\n"); name; name = strtok(NULL, " \t\r\n")) {
        check(sipdetect_push_name(worker, dialog, name, &v));
        if (v.abnormal_beginning == 1 && alarm == 0)
            alarm = v.position;
    }
    check(sipdetect_end(worker, dialog, &v));
    if (v.abnormal == 1 && !v.known_prefix && alarm == 0)
        alarm = v.position;
    const char *verdict = alarm ? "abnormal" : v.known_dialog ? "known" : v.known_prefix ? "prefix" : "new";
    if (alarm)
        printf("%s\t%d\t", verdict, alarm);
    else
        printf("%s\t-\t", verdict);
    if (v.scored)
        printf("%.4f\t%.4f\t%lld\n", v.skewness, v.kurtosis, (long long)v.train_dialogs);
    else
        printf("-\t-\t%lld\n", (long long)v.train_dialogs);
}

int main(int argc, char **argv)
{
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_dialog *dialog;
    char *line = NULL;
    size_t room = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: sipdetect MODEL.sipm < DIALOGS\n");
        return 2;
    }
    check(sipdetect_open(&model, argv[1], NULL));
    check(sipdetect_worker_open(&worker, model, NULL));
    check(sipdetect_dialog_open(&dialog, model));
    while (getline(&line, &room, stdin) > 0)
        judge(worker, dialog, line);
    free(line);
    sipdetect_dialog_close(dialog);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    return 0;
}
