/* module.c: finds and opens the engine modules.  An opened module stays for the life of the process: CUDA
 * cannot be unloaded cleanly. */
#include "engine/backend.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MODULES = 2, PATH_SIZE = 4096 };

static const char *const module_names[MODULES] = {"cuda", "cudnn"};

static struct {
    pthread_mutex_t lock;
    const sg_module *module[MODULES];
} opened = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Folder of the program or library that this code is in, without the last slash. */
static void own_folder(char folder[PATH_SIZE])
{
    static const char here;
    Dl_info info;
    char path[PATH_SIZE];
    folder[0] = '\0';
    if (!dladdr(&here, &info) || !info.dli_fname)
        return;
    /* For the program itself, dli_fname is the name it was called by. */
    ssize_t n = strchr(info.dli_fname, '/') ? -1 : readlink("/proc/self/exe", path, sizeof path - 1);
    if (n > 0)
        path[n] = '\0';
    else
        snprintf(path, sizeof path, "%s", info.dli_fname);
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return;
    char *slash = strrchr(resolved, '/');
    if (slash)
        *slash = '\0';
    snprintf(folder, PATH_SIZE, "%s", resolved);
    free(resolved);
}

/* Path of the module file: $SIPGPU_MODULES, beside this program or library, ../lib/sipgpu, the install
 * folder. */
static bool find_file(const char *name, char path[PATH_SIZE])
{
    const char *given = getenv("SIPGPU_MODULES");
    char own[PATH_SIZE], beside[PATH_SIZE + 16];
    own_folder(own);
    snprintf(beside, sizeof beside, "%s/../lib/sipgpu", own);
    const char *const folders[] = {given && given[0] ? given : NULL, own[0] ? own : NULL,
                                   own[0] ? beside : NULL, SG_MODULE_FOLDER};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!folders[i])
            continue;
        int n = snprintf(path, PATH_SIZE, "%s/sipgpu_%s.so", folders[i], name);
        if (n < PATH_SIZE && access(path, F_OK) == 0)
            return true;
        if (i == 0)
            return false; /* if a folder is named, search only there */
    }
    return false;
}

/* Explains dlopen's error: for a missing library it begins with the library's name; for one that is too old
 * it names an undefined symbol. */
static sg_status cannot_load(const char *path)
{
    const char *text = dlerror();
    const char *missing = text ? strstr(text, ": cannot open shared object file") : NULL;
    if (missing && strncmp(text, path, strlen(path)) != 0)
        return sg_fail(
            SG_E_DEVICE,
            "the library %.*s is not installed (it comes with CUDA 13 or cuDNN 9; LD_LIBRARY_PATH can say "
            "where it is)",
            (int)(missing - text), text);
    if (text && strstr(text, "undefined symbol"))
        return sg_fail(SG_E_DEVICE, "a library of CUDA or cuDNN is older than the module needs: %s", text);
    return sg_fail(SG_E_DEVICE, "%s", text ? text : "the module cannot be loaded");
}

static sg_status load_module(const char *name, const sg_module **module)
{
    char path[PATH_SIZE];
    if (!find_file(name, path))
        return sg_fail(SG_E_DEVICE, "the engine module sipgpu_%s.so is not installed", name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return cannot_load(path);
    const sg_module *found = dlsym(library, SG_MODULE_SYMBOL);
    if (!found || found->abi != SG_MODULE_ABI || strcmp(found->name, name) != 0) {
        dlclose(library);
        return sg_fail(SG_E_DEVICE, "%s belongs to another version of sipgpu", path);
    }
    *module = found;
    return SG_OK;
}

sg_status sg_module_open(const char *name, const sg_module **module)
{
    int k = 0;
    while (k < MODULES - 1 && strcmp(module_names[k], name) != 0)
        k++;
    pthread_mutex_lock(&opened.lock);
    sg_status status = opened.module[k] ? SG_OK : load_module(name, &opened.module[k]);
    *module = opened.module[k];
    pthread_mutex_unlock(&opened.lock);
    return status;
}

sg_status sg_module_failed(const sg_module *module, sg_status status)
{
    return sg_fail(status, "%s", module->error_text());
}
