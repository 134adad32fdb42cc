/* A configuration as INI text.  What is accepted can be written, and reads back to the same. */
#include "engine/backend.h"
#include "train/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A configuration names devices only; nothing here computes. */
const sg_backend sg_cpu_backend = {.open = NULL};

static void expect(bool what)
{
    if (!what)
        abort();
}

static void check_again(const sg_config *config)
{
    sg_config again;
    char *text, differences[256];
    expect(sg_config_text(config, &text) == SG_OK && sg_config_defaults(&again) == SG_OK);
    expect(sg_options_read_ini_text(sg_config_table, &again, text, "again") == SG_OK);
    expect(sg_options_differences(sg_config_table, config, &again, NULL, differences, sizeof differences) ==
           0);
    free(text);
}

static void use(const sg_config *config)
{
    const sg_corpus corpus = {.message_types = 18, .max_length = 56, .classes = 1492};
    sg_spec spec;
    sg_engine_options engine;
    if (sg_config_spec(config, &corpus, &spec) == SG_OK)
        expect(spec.units > 0 && spec.layers > 0 && spec.layers <= SG_LAYERS_MAX);
    if (sg_config_engine(config, &engine) == SG_OK)
        expect(engine.device_index >= 0 && engine.threads >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_config config;
    char *text = malloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    expect(sg_config_defaults(&config) == SG_OK);
    if (sg_options_read_ini_text(sg_config_table, &config, text, "fuzz.ini") == SG_OK) {
        check_again(&config);
        use(&config);
    }
    expect(strlen(sg_error_text()) < 1024);
    /* The same bytes as one --set. */
    expect(sg_config_defaults(&config) == SG_OK);
    if (sg_options_assign(sg_config_table, &config, text) == SG_OK)
        use(&config);
    free(text);
    return 0;
}
