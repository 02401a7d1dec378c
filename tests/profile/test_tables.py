"""What is said in a profile's tables of what has no short name."""

import pytest

from bench.profile.tables import short_kernel

NATIVE = "at::native::(anonymous namespace)::"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("sgemm", "sgemm"),
        ("triton_poi_fused_relu_0", "triton_poi_fused_relu_0"),
        ("Memcpy HtoD (Pageable -> Device)", "Memcpy HtoD (Pageable -> Device)"),
        ("Memset (Device)", "Memset (Device)"),
        ("void sgemm_largek_lds64<true, false, 5>(float*, float const*, int)", "sgemm_largek_lds64"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64>(int)", "Kernel2<cutlass_80_simt_sgemm_64x64>"),
        (f"void {NATIVE}fill(float*)", "fill"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, std::array<char*, 1ul> >"
            "(int, at::native::FillFunctor<float>, std::array<char*, 1ul>)",
            "vectorized_elementwise_kernel<FillFunctor>",
        ),
        (
            f"void {NATIVE}multi_tensor_apply_kernel<{NATIVE}TensorListMetadata<2>, {NATIVE}UnaryOpFunctor<float, 2>, "
            f"at::native::Sqrt<float> >({NATIVE}TensorListMetadata<2>, at::native::Sqrt<float>)",
            "multi_tensor_apply_kernel<UnaryOpFunctor, Sqrt>",
        ),
        (
            f"void at::native::vectorized_elementwise_kernel<4, {NATIVE}launch_clamp_scalar(at::TensorIteratorBase&)::"
            "{lambda()#1}::operator()() const::{lambda(float)#1}, std::array<char*, 2ul> >(int)",
            "vectorized_elementwise_kernel<launch_clamp_scalar>",
        ),
    ],
)
def test_a_kernel_is_called_by_what_tells_it_from_others(name, short):
    assert short_kernel(name) == short
