#include "corpus/conventions.h"

#include <stdio.h>
#include <string.h>

sg_status sg_conventions_read(const sg_h5 *file, char rule[16], bool *collapsed)
{
    char repeats[16] = "keep";
    snprintf(rule, 16, "paper/1");
    if (sg_h5_has_attribute(file, "/", "type_rule"))
        SG_TRY(sg_h5_get_text(file, "/", "type_rule", rule, 16));
    if (sg_h5_has_attribute(file, "/", "retransmissions"))
        SG_TRY(sg_h5_get_text(file, "/", "retransmissions", repeats, sizeof repeats));
    *collapsed = strcmp(repeats, "collapse") == 0;
    if (strcmp(rule, "paper/1") != 0 && strcmp(rule, "cseq/1") != 0)
        return sg_fail(SG_E_FORMAT, "%s: type_rule is '%s', expected paper/1 or cseq/1", file->path, rule);
    if (!*collapsed && strcmp(repeats, "keep") != 0)
        return sg_fail(SG_E_FORMAT, "%s: retransmissions is '%s', expected keep or collapse", file->path,
                       repeats);
    return SG_OK;
}

sg_status sg_conventions_write(sg_h5 *file, const char *rule, bool collapsed)
{
    SG_TRY(sg_h5_set_text(file, "/", "type_rule", rule[0] ? rule : "paper/1"));
    return sg_h5_set_text(file, "/", "retransmissions", collapsed ? "collapse" : "keep");
}
