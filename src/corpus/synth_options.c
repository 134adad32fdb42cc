#include "corpus/split.h"
#include "corpus/synth.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define AT(member)                   SG_KEY(sg_synth_options, member), .section = "synth"
#define SIP(member)                  SG_AT(#member, sg_synth_options, sip.member), .section = "synth"
#define RATE(member, fallback, help) SG_REAL(SIP(member), fallback, 0, 1, help, .argument = "P")
#define MEAN(member, fallback, help) SG_REAL(SIP(member), fallback, 1, 1e6, help)

/* The fallbacks are preset paper. */
const sg_option sg_synth_option_table[] = {
    SG_INT(AT(dialogs), "18782", 1, INT32_MAX, "dialogs"),
    SG_INT(AT(user_agents), "249", 1, INT32_MAX, "user agents, all of which have a dialog"),
    SG_INT(AT(unique), "1492", 1, SG_CLASSES_MAX, "unique dialogs (classes)"),
    SG_INT(AT(once), "-1", -1, SG_CLASSES_MAX, "unique dialogs that occur once; -1: 66.2% of them"),
    SG_INT(AT(message_types), "18", SG_SIP_TYPES_MIN, SG_SIP_TYPES,
           "message types, from the indispensable to the exotic"),
    SG_INT(AT(max_length), "56", 1, 4096, "messages of the longest dialog, exactly"),
    SG_REAL(AT(zipf_exponent), "0", 0, 10,
            "how fast multiplicities fall; 0: as the unseen targets need, else 1.5"),
    SG_REAL(AT(zipf_shift), "0.7", 0, 1e9, "shift of the ranks in the law of multiplicities"),
    SG_INT(AT(train), "-1", -1, INT32_MAX, "dialogs of train; -1: of the preset, or by share"),
    SG_INT(AT(validation), "-1", -1, INT32_MAX, "dialogs of validation"),
    SG_INT(AT(test), "-1", -1, INT32_MAX, "dialogs of test"),
    SG_REAL(AT(train_share), "0.5", 0, 1, "share of train where sizes are not given"),
    SG_REAL(AT(validation_share), "0.2", 0, 1, "share of validation"),
    SG_REAL(AT(test_share), "0.3", 0, 1, "share of test"),
    SG_FLAG(AT(search), "look for a split seed with the numbers of unseen dialogs below", .fallback = "true"),
    SG_INT(AT(unseen_validation), "-1", -1, INT32_MAX,
           "validation dialogs whose class is not in train; -1: of the preset, or any"),
    SG_INT(AT(unseen_test), "-1", -1, INT32_MAX, "the same for test"),
    SG_INT(AT(split_tries), "0", 0, 1e12, "split seeds to look at; 0: about ten seconds' worth"),
    SG_REAL(AT(user_agent_exponent), "0.8", 0, 10, "how unequal user agents are"),
    SG_REAL(AT(start_time), "1577836800", -1e10, 1e11, "time of the first arrivals, seconds since 1970"),
    SG_REAL(AT(arrivals_per_hour), "26", 1e-6, 1e9, "dialogs per hour, on average over the day"),
    SG_REAL(AT(daily_swing), "0.8", 0, 0.99, "how much busier the busiest hour is than the average one"),
    SG_FLAG(AT(call_id), "also make Call-IDs"),
    RATE(call, "0.8", "weight of calls (INVITE)"),
    RATE(registration, "0.11", "weight of registrations (REGISTER)"),
    RATE(keep_alive, "0.045", "weight of OPTIONS outside calls"),
    RATE(subscription, "0.04", "weight of SUBSCRIBE with its NOTIFYs"),
    RATE(notification, "0.005", "weight of NOTIFY without subscription"),
    RATE(message, "0.03", "weight of MESSAGE"),
    RATE(publication, "0.02", "weight of PUBLISH"),
    RATE(challenge, "0.85", "a call or subscription is challenged for credentials"),
    RATE(proxy_challenge, "0.93", "the challenge of a call is 407 rather than 401"),
    RATE(stale_nonce, "0.03", "one more challenge, because the nonce is stale"),
    RATE(wrong_password, "0.01", "the credentials never satisfy"),
    RATE(register_challenge, "0.95", "a registration is challenged"),
    RATE(trying, "0.93", "the server answers INVITE with 100 first"),
    RATE(early_media, "0.14", "183, by itself or with 180"),
    RATE(no_ringing, "0.1", "no 180"),
    RATE(repeat_ringing, "0.06", "a provisional response is sent once more"),
    RATE(fork, "0.06", "the call forks to several phones"),
    MEAN(fork_branches, "2", "phones beyond the first, when it forks"),
    RATE(queued, "0.03", "the call is queued or forwarded first (182, 181)"),
    RATE(cancel, "0.1", "the caller gives up while it rings"),
    RATE(busy, "0.05", "busy (486)"),
    RATE(unavailable, "0.03", "nobody there (480, 408)"),
    RATE(not_found, "0.03", "no such user (404)"),
    RATE(refused, "0.02", "declined or failed (603, 488, 5xx)"),
    RATE(redirect, "0.03", "redirected first (302)"),
    RATE(renegotiate, "0.02", "rejected once for a formal reason (422, 420, 423, 488)"),
    RATE(early_bye, "0.004", "BYE before the answer"),
    RATE(no_answer, "0.003", "a request is never answered"),
    RATE(refresh, "0.09", "a call has session refreshes (re-INVITE)"),
    RATE(hold, "0.05", "a call is held and retrieved (two re-INVITEs)"),
    RATE(in_call_keep_alive, "0.05", "a call has OPTIONS inside"),
    RATE(mixed_requests, "0.06", "a call has various requests inside"),
    RATE(long_calls, "0.15", "a call with requests inside is four times as long"),
    MEAN(in_call_events, "2.5", "requests inside such a call"),
    RATE(bye_challenge, "0.04", "BYE or OPTIONS is challenged"),
    RATE(glare, "0.012", "both sides act at once, or one side rejects the other's change"),
    RATE(open_end, "0.006", "the call is still open when the capture ends"),
    RATE(register_refresh, "0.2", "a registration is refreshed under its Call-ID"),
    MEAN(register_refreshes, "5", "how often"),
    RATE(unregister, "0.05", "and ends with one more REGISTER"),
    RATE(keep_alive_chain, "0.2", "an OPTIONS repeats under its Call-ID"),
    MEAN(keep_alives, "5", "how often"),
    MEAN(notifications, "1.8", "NOTIFYs after a SUBSCRIBE"),
    RATE(subscribe_refresh, "0.4", "a subscription is refreshed"),
    RATE(retransmission, "0.012", "a message is sent again"),
    RATE(retransmission_again, "0.35", "and again"),
    RATE(lost_answer, "0.4", "a repeated request is not answered a second time"),
    SG_OPTIONS_END,
};

/* What the paper says of its splits (tables V and VI, section IV-B); its 50/20/30 % are rounded. */
static const int64_t paper_sizes[SG_SPLITS] = {9331, 3847, 5604};
enum { PAPER_UNSEEN_VALIDATION = 277, PAPER_UNSEEN_TEST = 362, PAPER_ONCE = 988, PAPER_UNIQUE = 1492 };

sg_status sg_synth_preset_options(sg_synth_options *options, sg_synth_preset preset)
{
    static const char *const small[] = {"synth.dialogs=1900", "synth.user_agents=30", "synth.unique=150",
                                        "synth.max_length=24"};
    memset(options, 0, sizeof *options);
    SG_TRY(sg_options_defaults(sg_synth_option_table, options));
    for (size_t i = 0; preset == SG_SYNTH_SMALL && i < sizeof small / sizeof *small; i++)
        SG_TRY(sg_options_assign(sg_synth_option_table, options, small[i]));
    return SG_OK;
}

static sg_status resolve_split(sg_synth_options *options, bool paper)
{
    int64_t *given[SG_SPLITS] = {&options->train, &options->validation, &options->test}, size[SG_SPLITS];
    double share[SG_SPLITS] = {options->train_share, options->validation_share, options->test_share};
    int missing = 0;
    int64_t sum = 0;
    for (int s = 0; s < SG_SPLITS; s++) {
        missing += *given[s] < 0;
        sum += *given[s] < 0 ? 0 : *given[s];
    }
    if (missing == SG_SPLITS) {
        if (paper)
            memcpy(size, paper_sizes, sizeof size);
        else
            SG_TRY(sg_split_sizes(options->dialogs, share, size));
        for (int s = 0; s < SG_SPLITS; s++)
            *given[s] = size[s];
        return SG_OK;
    }
    for (int s = 0; s < SG_SPLITS && missing == 1; s++)
        if (*given[s] < 0 && sum <= options->dialogs) {
            *given[s] = options->dialogs - sum;
            return SG_OK;
        }
    if (missing || sum != options->dialogs)
        return sg_fail(SG_E_CONFIG,
                       "synth.train, validation and test must sum to the %" PRId64
                       " dialogs (one of the three "
                       "may be left out)",
                       options->dialogs);
    return SG_OK;
}

/* The paper's share, as far as the number of dialogs allows: the other unique ones occur at least twice. */
static sg_status resolve_once(sg_synth_options *options)
{
    int64_t unique = options->unique, least = 2 * unique - options->dialogs;
    if (unique > options->dialogs)
        return sg_fail(SG_E_CONFIG, "synth.unique = %" PRId64 " is more than synth.dialogs = %" PRId64,
                       unique, options->dialogs);
    if (options->once >= 0)
        return SG_OK;
    options->once = llround((double)unique * PAPER_ONCE / PAPER_UNIQUE);
    if (options->once == unique && options->dialogs > unique)
        options->once = unique - 1;
    if (options->once < least)
        options->once = least;
    return SG_OK;
}

sg_status sg_synth_resolve(sg_synth_options *options, sg_synth_preset preset)
{
    SG_TRY(resolve_once(options));
    sg_synth_options own;
    SG_TRY(sg_synth_preset_options(&own, SG_SYNTH_PAPER));
    bool paper = preset == SG_SYNTH_PAPER && options->dialogs == own.dialogs &&
                 options->unique == own.unique && options->once == PAPER_ONCE;
    int64_t repeated = options->unique - options->once, left = options->dialogs - options->once;
    if (repeated < 0)
        return sg_fail(SG_E_CONFIG, "synth.once = %" PRId64 " is more than synth.unique = %" PRId64,
                       options->once, options->unique);
    if (repeated ? left < 2 * repeated : left != 0)
        return sg_fail(SG_E_CONFIG,
                       "%" PRId64 " dialogs cannot hold %" PRId64 " unique ones of which %" PRId64
                       " occur once and the others at least twice; %s",
                       options->dialogs, options->unique, options->once,
                       repeated ? "raise synth.dialogs or synth.once" : "lower synth.once");
    if (options->user_agents > options->dialogs)
        return sg_fail(SG_E_CONFIG, "%" PRId64 " user agents cannot all be in %" PRId64 " dialogs",
                       options->user_agents, options->dialogs);
    SG_TRY(resolve_split(options, paper));
    if (paper && options->train == paper_sizes[0] && options->validation == paper_sizes[1]) {
        if (options->unseen_validation < 0)
            options->unseen_validation = PAPER_UNSEEN_VALIDATION;
        if (options->unseen_test < 0)
            options->unseen_test = PAPER_UNSEEN_TEST;
    }
    if (options->search && (options->unseen_validation < 0) != (options->unseen_test < 0))
        return sg_fail(SG_E_CONFIG, "synth.unseen_validation and synth.unseen_test must be given together");
    return SG_OK;
}
