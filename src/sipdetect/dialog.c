/* dialog.c: dialogs and their messages. */
#include "sipdetect/internal.h"

#include "base/memory.h"
#include <stdlib.h>

size_t sipdetect_dialog_bytes(const sipdetect_model *model)
{
    const size_t bytes = sizeof(sipdetect_dialog) + (size_t)model->file.network.max_length * sizeof(uint16_t);
    return sd_round_up(bytes, 8);
}

sipdetect_dialog *sipdetect_dialog_place(const sipdetect_model *model, void *memory)
{
    sipdetect_dialog *dialog = memory;
    dialog->model = model;
    sipdetect_dialog_reset(dialog);
    return dialog;
}

sipdetect_status sipdetect_dialog_open(sipdetect_dialog **dialog, const sipdetect_model *model)
{
    void *memory;
    *dialog = NULL;
    sg_status status = sg_alloc_bytes(&memory, 1, sipdetect_dialog_bytes(model), "dialog");
    if (status == SG_OK)
        *dialog = sipdetect_dialog_place(model, memory);
    return sd_public(status);
}

void sipdetect_dialog_close(sipdetect_dialog *dialog)
{
    free(dialog);
}

void sipdetect_dialog_reset(sipdetect_dialog *dialog)
{
    dialog->position = 0;
    dialog->node = 0;
    dialog->untyped = dialog->scored = false;
}

/* As in the tracker of `watch`: a message without a type is not stored in the dialog, but from then on no
 * train dialog is like it. */
static void add(sipdetect_dialog *dialog, uint16_t type)
{
    const sd_file *file = &dialog->model->file;
    if (type == 0) {
        dialog->untyped = true;
        dialog->node = -1;
        return;
    }
    if (dialog->position < file->network.max_length)
        dialog->types[dialog->position] = type;
    dialog->position += dialog->position < INT32_MAX;
    dialog->node = sd_trie_next(&file->trie, dialog->node, type);
    dialog->scored = false;
}

/* Without the network: from the file, from an earlier call, or not at all. */
static bool judge_at_once(const sipdetect_worker *worker, const sd_case *c, uint16_t type,
                          sipdetect_verdict *verdict)
{
    const sd_file *file = &worker->model->file;
    if (sd_is_in_file(c) && !worker->options.recompute) {
        const sd_score score = sd_file_score(file, c);
        sd_judge(file, c, &score, true, verdict);
        return true;
    }
    if (type != 0 && !worker->options.defer && sd_can_score(file, c))
        return false;
    sd_judge(file, c, NULL, false, verdict);
    return true;
}

sipdetect_status sipdetect_push(sipdetect_worker *worker, sipdetect_dialog *dialog, uint16_t type,
                                sipdetect_verdict *verdict)
{
    const sipdetect_model *model = dialog->model;
    if (worker->model != model)
        return sd_public(sg_fail(SG_E_CONFIG, "the dialog belongs to another model than the worker"));
    if (type > model->file.network.message_types)
        return sd_public(sg_fail(SG_E_CONFIG, "message type is %d, must be from 1 to %d", type,
                                 model->file.network.message_types));
    add(dialog, type);
    if (!verdict)
        return SIPDETECT_OK;
    const sd_case c = sd_dialog_case(dialog);
    return judge_at_once(worker, &c, type, verdict) ? SIPDETECT_OK : sipdetect_end(worker, dialog, verdict);
}

sipdetect_status sipdetect_push_name(sipdetect_worker *worker, sipdetect_dialog *dialog, const char *name,
                                     sipdetect_verdict *verdict)
{
    if (!name)
        return sd_public(sg_fail(SG_E_CONFIG, "a message type without a name"));
    return sipdetect_push(worker, dialog, sipdetect_type_id(dialog->model, name), verdict);
}

sipdetect_status sipdetect_push_sip(sipdetect_worker *worker, sipdetect_dialog *dialog, const char *text,
                                    size_t size, sipdetect_verdict *verdict)
{
    uint16_t type;
    sipdetect_status status = sipdetect_type_of_sip(dialog->model, text, size, &type);
    return status == SIPDETECT_OK ? sipdetect_push(worker, dialog, type, verdict) : status;
}
