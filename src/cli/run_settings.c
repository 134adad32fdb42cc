#include "cli/run_settings.h"

/* The device is the one setting that the table cannot check. */
static sg_status check_device(const sg_config *config, sg_status wrong)
{
    sg_engine_options options;
    return sg_config_engine(config, &options) == SG_OK ? SG_OK : sg_fail_prefix(wrong, "engine.device");
}

sg_status sg_run_settings_read(const sg_run_settings *run, const sg_option *table, const void *options,
                               const char *alone, const char *model, sg_config *config)
{
    SG_TRY(sg_config_defaults(config));
    for (size_t i = 0; i < run->config.count; i++)
        SG_TRY(sg_options_read_ini(sg_config_table, config, run->config.items[i]));
    if (run->config.count == 0 && alone)
        SG_TRY(sg_options_read_ini(sg_config_table, config, alone));
    SG_TRY(check_device(config, SG_E_CONFIG));
    if (model[0] && sg_config_set_model(config, model) != SG_OK)
        return sg_fail_prefix(SG_E_USAGE, "--model");
    for (size_t i = 0; i < run->set.count; i++)
        SG_TRY(sg_options_assign(sg_config_table, config, run->set.items[i]));
    SG_TRY(sg_options_apply(table, options, sg_config_table, config));
    if (run->threads)
        config->threads = run->threads;
    return check_device(config, SG_E_USAGE);
}

sg_status sg_run_settings_need_corpus(const sg_config *config, const char *command)
{
    return config->corpus[0]
               ? SG_OK
               : sg_fail(SG_E_USAGE, "%s needs --corpus FILE, or data.corpus in a configuration", command);
}
