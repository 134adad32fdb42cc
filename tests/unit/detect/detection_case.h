/* detection_case.h: reads tests/data/case_detection.h5: moments of known and new dialogs, and what NumPy and
 * scikit-learn (50 restarts) make of them. */
#ifndef SG_DETECTION_CASE_H
#define SG_DETECTION_CASE_H

#include "testing.h"
#include <hdf5.h>

enum { CASE_TRAIN = 500, CASE_TEST = 460 };

typedef struct {
    double train_skewness[CASE_TRAIN], train_kurtosis[CASE_TRAIN];
    double skewness[CASE_TEST], kurtosis[CASE_TEST];
    double lambda[2], centroid[2][2], inertia;
    int is_abnormal[CASE_TEST], both[CASE_TEST], either[CASE_TEST];
} detection_case;

static inline void read_case_array(hid_t file, const char *name, hid_t type, void *out)
{
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(dataset >= 0);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
    H5Dclose(dataset);
}

static inline void read_detection_case(detection_case *c)
{
    static double train[CASE_TRAIN][2], test[CASE_TEST][2];
    hid_t file = H5Fopen(SG_TEST_DATA "/case_detection.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    read_case_array(file, "train_moments", H5T_NATIVE_DOUBLE, train);
    read_case_array(file, "test_moments", H5T_NATIVE_DOUBLE, test);
    read_case_array(file, "lambda", H5T_NATIVE_DOUBLE, c->lambda);
    read_case_array(file, "kmeans_centroids", H5T_NATIVE_DOUBLE, c->centroid);
    read_case_array(file, "kmeans_inertia", H5T_NATIVE_DOUBLE, &c->inertia);
    read_case_array(file, "kmeans_is_abnormal", H5T_NATIVE_INT, c->is_abnormal);
    read_case_array(file, "threshold_both_below", H5T_NATIVE_INT, c->both);
    read_case_array(file, "threshold_either_below", H5T_NATIVE_INT, c->either);
    H5Fclose(file);
    for (int i = 0; i < CASE_TRAIN; i++) {
        c->train_skewness[i] = train[i][0];
        c->train_kurtosis[i] = train[i][1];
    }
    for (int i = 0; i < CASE_TEST; i++) {
        c->skewness[i] = test[i][0];
        c->kurtosis[i] = test[i][1];
    }
}

#endif
