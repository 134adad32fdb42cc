#include "train/run.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *sg_tool_name(void)
{
    return "sipgpu " SG_VERSION " (" SG_COMMIT ")";
}

sg_status sg_run_paths_make(sg_run_paths *paths, const char *folder)
{
    if (strlen(folder) >= sizeof paths->folder)
        return sg_fail(SG_E_CONFIG, "the path %.80s... is too long", folder);
    strcpy(paths->folder, folder);
    SG_TRY(sg_path_join(paths->config, folder, "config.ini"));
    SG_TRY(sg_path_join(paths->history, folder, "history.csv"));
    SG_TRY(sg_path_join(paths->checkpoint, folder, "checkpoint.h5"));
    SG_TRY(sg_path_join(paths->best, folder, "best.h5"));
    SG_TRY(sg_path_join(paths->provenance, folder, "provenance.json"));
    return sg_path_join(paths->model, folder, "model.h5");
}

bool sg_run_is_complete(const char *folder)
{
    char path[SG_PATH_MAX];
    return sg_path_join(path, folder, "model.h5") == SG_OK && sg_path_exists(path);
}

/* The processor's name as the kernel reports it, or "unknown". */
static void processor_name(char *text, size_t size)
{
    snprintf(text, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(text, size, "%s", colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

sg_status sg_run_origin(const char *folder, char **json)
{
    static const char *const keys[] = {"tool", "commit", "date", "processor", "engine", "seconds"};
    sg_run_paths paths;
    char *text = NULL;
    size_t length = 0;
    *json = NULL;
    SG_TRY(sg_run_paths_make(&paths, folder));
    cJSON *object = cJSON_CreateObject();
    if (sg_file_read(paths.provenance, 1 << 20, &text, &length) == SG_OK) {
        cJSON *all = cJSON_ParseWithLength(text, length);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            cJSON *value = cJSON_DetachItemFromObject(all, keys[k]);
            if (value)
                cJSON_AddItemToObject(object, keys[k], value);
        }
        cJSON_Delete(all);
        free(text);
    }
    *json = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return *json ? SG_OK : sg_fail(SG_E_MEMORY, "%s: out of memory", paths.provenance);
}

/* {"run": its name, and what its origin says} */
static cJSON *run_object(const sg_provenance_run *run)
{
    cJSON *object = cJSON_CreateObject(), *origin = cJSON_Parse(run->origin);
    cJSON_AddStringToObject(object, "run", run->name);
    while (origin && origin->child) {
        cJSON *value = cJSON_DetachItemViaPointer(origin, origin->child);
        cJSON_AddItemToObject(object, value->string, value);
    }
    cJSON_Delete(origin);
    return object;
}

static cJSON *provenance_object(const sg_provenance *p)
{
    char text[256];
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "tool", "sipgpu " SG_VERSION);
    cJSON_AddStringToObject(root, "commit", SG_COMMIT);
    cJSON *command = cJSON_AddArrayToObject(root, "command");
    cJSON_AddItemToArray(command, cJSON_CreateString("sipgpu"));
    cJSON_AddItemToArray(command, cJSON_CreateString(p->command));
    for (int i = 0; i < p->argc; i++)
        cJSON_AddItemToArray(command, cJSON_CreateString(p->argv[i]));
    time_t now = time(NULL);
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    cJSON_AddStringToObject(root, "date", text);
    processor_name(text, sizeof text);
    cJSON_AddStringToObject(root, "processor", text);
    cJSON_AddStringToObject(root, "engine", p->engine);
    cJSON *libraries = cJSON_AddObjectToObject(root, "libraries");
    unsigned major, minor, patch;
    H5get_libversion(&major, &minor, &patch);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, patch);
    cJSON_AddStringToObject(libraries, "HDF5", text);
    cJSON_AddStringToObject(libraries, "compiler", __VERSION__);
    cJSON_AddStringToObject(root, "corpus", p->corpus);
    cJSON_AddStringToObject(root, "corpus_digest", p->corpus_digest);
    cJSON_AddNumberToObject(root, "seconds", (double)(long)(p->seconds * 1000) / 1000);
    if (p->runs) {
        cJSON *runs = cJSON_AddArrayToObject(root, "runs");
        for (int i = 0; i < p->run_count; i++)
            cJSON_AddItemToArray(runs, run_object(&p->runs[i]));
    }
    return root;
}

sg_status sg_provenance_write(const sg_provenance *provenance, const char *path)
{
    sg_atomic_file file;
    FILE *stream;
    cJSON *root = provenance_object(provenance);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        return sg_fail(SG_E_MEMORY, "%s: out of memory", path);
    sg_status status = sg_text_open(&file, &stream, path);
    if (status == SG_OK) {
        fprintf(stream, "%s\n", text);
        status = sg_text_finish(&file, stream, SG_OK);
    }
    free(text);
    return status;
}
