//! Ops on single elements, with broadcasting.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why, broadcast};

type Out = Why<Vec<Tensor>>;

/// A function of floats.
pub fn real(call: &Call, f: impl Fn(f64) -> f64) -> Out {
    let x = call.input(0)?;
    let values = x.reals()?.iter().map(|v| f(*v)).collect();
    Ok(vec![Tensor::real(x.dtype(), x.shape().to_vec(), values)?])
}

/// A function of floats or whole numbers.
pub fn number(call: &Call, f: impl Fn(f64) -> f64, n: impl Fn(i128) -> i128) -> Out {
    let x = call.input(0)?;
    match x.data() {
        Data::Real(_) => real(call, f),
        Data::Whole(_) if x.dtype() == DType::Bool => Err("booleans where numbers are needed".into()),
        Data::Whole(v) => {
            let values = v.iter().map(|v| n(*v)).collect();
            Ok(vec![Tensor::whole(x.dtype(), x.shape().to_vec(), values)?])
        }
    }
}

macro_rules! reals {
    ($($name:ident: $f:expr;)*) => {$(
        pub fn $name(call: &Call) -> Out {
            real(call, $f)
        }
    )*};
}

reals! {
    sqrt: f64::sqrt;
    exp: f64::exp;
    log: f64::ln;
    erf: erf_of;
    sin: f64::sin;
    cos: f64::cos;
    tan: f64::tan;
    tanh: f64::tanh;
    sigmoid: sigmoid_of;
    reciprocal: |x| 1.0 / x;
    floor: f64::floor;
    ceil: f64::ceil;
    round: f64::round_ties_even;
    softplus: |x| x.max(0.0) + (-x.abs()).exp().ln_1p();
    hard_swish: |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0);
    mish: |x| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
    softsign: |x| x / (1.0 + x.abs());
    sinh: f64::sinh;
    cosh: f64::cosh;
    asin: f64::asin;
    acos: f64::acos;
    atan: f64::atan;
    asinh: f64::asinh;
    acosh: f64::acosh;
    atanh: f64::atanh;
}

pub fn sigmoid_of(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!` (Abramowitz and Stegun 7.1.6): no cancellation.
pub fn erf_of(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-17 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()
}

pub fn abs(call: &Call) -> Out {
    number(call, f64::abs, i128::abs)
}

pub fn neg(call: &Call) -> Out {
    number(call, |x| -x, |n| -n)
}

pub fn sign(call: &Call) -> Out {
    number(call, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, i128::signum)
}

pub fn is_nan(call: &Call) -> Out {
    test(call, f64::is_nan)
}

pub fn is_inf(call: &Call) -> Out {
    let (low, high) = (call.flag("detect_negative", true)?, call.flag("detect_positive", true)?);
    test(call, |x| x.is_infinite() && if x > 0.0 { high } else { low })
}

fn test(call: &Call, f: impl Fn(f64) -> bool) -> Out {
    let x = call.input(0)?;
    let values = x.reals()?.iter().map(|v| f(*v).into()).collect();
    Ok(vec![Tensor::whole(DType::Bool, x.shape().to_vec(), values)?])
}

pub fn not(call: &Call) -> Out {
    let x = call.input(0)?;
    booleans(x)?;
    let values = x.wholes()?.iter().map(|b| 1 - b).collect();
    Ok(vec![Tensor::whole(DType::Bool, x.shape().to_vec(), values)?])
}

fn booleans(x: &Tensor) -> Why<()> {
    if x.dtype() == DType::Bool { Ok(()) } else { Err(format!("{:?} where booleans are needed", x.dtype())) }
}

/// Two inputs of one type, broadcast.
fn pair(call: &Call) -> Why<(Tensor, Tensor)> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.dtype() != b.dtype() {
        return Err(format!("inputs are {:?} and {:?}; they must be of one type", a.dtype(), b.dtype()));
    }
    let shape = broadcast(&[a.shape(), b.shape()])?;
    Ok((a.expanded(&shape)?, b.expanded(&shape)?))
}

pub fn arithmetic(call: &Call, f: impl Fn(f64, f64) -> f64, n: impl Fn(i128, i128) -> Why<i128>) -> Out {
    let (a, b) = pair(call)?;
    let shape = a.shape().to_vec();
    let out = match (a.data(), b.data()) {
        (Data::Real(x), Data::Real(y)) => {
            Tensor::real(a.dtype(), shape, x.iter().zip(y).map(|(x, y)| f(*x, *y)).collect())?
        }
        _ if a.dtype() == DType::Bool => return Err("booleans where numbers are needed".into()),
        _ => {
            let values = a.wholes()?.iter().zip(b.wholes()?).map(|(x, y)| n(*x, *y)).collect::<Why<_>>()?;
            Tensor::whole(a.dtype(), shape, values)?
        }
    };
    Ok(vec![out])
}

pub fn add(call: &Call) -> Out {
    arithmetic(call, |x, y| x + y, |x, y| Ok(x + y))
}

pub fn sub(call: &Call) -> Out {
    arithmetic(call, |x, y| x - y, |x, y| Ok(x - y))
}

pub fn mul(call: &Call) -> Out {
    arithmetic(call, |x, y| x * y, |x, y| Ok(x.wrapping_mul(y)))
}

/// Whole numbers are divided towards zero.
pub fn div(call: &Call) -> Out {
    arithmetic(call, |x, y| x / y, |x, y| x.checked_div(y).ok_or_else(|| "division by zero".into()))
}

/// The sign of the divisor, with `fmod` that of the dividend; floats only with `fmod` before opset 28.
pub fn modulo(call: &Call) -> Out {
    let fmod = call.flag("fmod", false)?;
    if !fmod && call.opset < 28 && call.input(0)?.dtype().is_real() {
        return Err("attribute fmod: must be 1 for floats".into());
    }
    let whole = |x: i128, y: i128| {
        let rest = x.checked_rem(y).ok_or("division by zero")?;
        Ok(if fmod || rest == 0 || (rest < 0) == (y < 0) { rest } else { rest + y })
    };
    let real = |x: f64, y: f64| match x % y {
        rest if fmod || rest.is_nan() => rest,
        0.0 => 0f64.copysign(y),
        rest if (rest < 0.0) == (y < 0.0) => rest,
        rest => rest + y,
    };
    arithmetic(call, real, whole)
}

pub fn pow(call: &Call) -> Out {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let shape = broadcast(&[x.shape(), y.shape()])?;
    let (x, y) = (x.expanded(&shape)?, y.expanded(&shape)?);
    if x.dtype() == DType::Bool || y.dtype() == DType::Bool {
        return Err("booleans where numbers are needed".into());
    }
    let out = match (x.data(), y.data()) {
        (Data::Whole(a), Data::Whole(b)) => {
            let values = a.iter().zip(b).map(|(a, b)| whole_power(*a, *b)).collect::<Why<_>>()?;
            Tensor::whole(x.dtype(), shape, values)?
        }
        (Data::Whole(a), Data::Real(b)) => {
            let power = |(a, b): (&i128, &f64)| in_range(x.dtype(), (*a as f64).powf(*b));
            Tensor::whole(x.dtype(), shape, a.iter().zip(b).map(power).collect::<Why<_>>()?)?
        }
        (Data::Real(a), _) => {
            let values = a.iter().zip(y.to_reals()).map(|(a, b)| a.powf(b)).collect();
            Tensor::real(x.dtype(), shape, values)?
        }
    };
    Ok(vec![out])
}

fn in_range(dtype: DType, x: f64) -> Why<i128> {
    let (least, greatest) = dtype.range();
    let n = x as i128;
    if x.is_nan() || !(least..=greatest).contains(&n) { Err(format!("{x} is no {dtype:?}")) } else { Ok(n) }
}

/// Modulo 2^128, which is exact for every type after wrapping.
fn whole_power(base: i128, exponent: i128) -> Why<i128> {
    let exponent = u32::try_from(exponent).map_err(|_| format!("{exponent} is no exponent of whole numbers"))?;
    Ok(base.wrapping_pow(exponent))
}

fn logic(call: &Call, f: impl Fn(bool, bool) -> bool) -> Out {
    booleans(call.input(0)?)?;
    compare(call, |_, _| false, |x, y| f(x != 0, y != 0))
}

fn compare(call: &Call, f: impl Fn(f64, f64) -> bool, n: impl Fn(i128, i128) -> bool) -> Out {
    let (a, b) = pair(call)?;
    let values = match (a.data(), b.data()) {
        (Data::Real(x), Data::Real(y)) => x.iter().zip(y).map(|(x, y)| f(*x, *y).into()).collect(),
        _ => a.wholes()?.iter().zip(b.wholes()?).map(|(x, y)| n(*x, *y).into()).collect(),
    };
    Ok(vec![Tensor::whole(DType::Bool, a.shape().to_vec(), values)?])
}

macro_rules! comparisons {
    ($($name:ident: $op:tt;)*) => {$(
        pub fn $name(call: &Call) -> Out {
            compare(call, |x, y| x $op y, |x, y| x $op y)
        }
    )*};
}

comparisons! {
    equal: ==;
    less: <;
    greater: >;
    less_or_equal: <=;
    greater_or_equal: >=;
}

pub fn and(call: &Call) -> Out {
    logic(call, |x, y| x && y)
}

pub fn or(call: &Call) -> Out {
    logic(call, |x, y| x || y)
}

pub fn xor(call: &Call) -> Out {
    logic(call, |x, y| x != y)
}

/// One of two, NaN if either is.
fn pick(x: f64, y: f64, first: bool) -> f64 {
    if x.is_nan() || (first && !y.is_nan()) { x } else { y }
}

fn fold(call: &Call, f: impl Fn(f64, f64) -> f64, n: impl Fn(i128, i128) -> i128) -> Why<Tensor> {
    let all = call.all()?;
    let dtype = all[0].dtype();
    if all.iter().any(|t| t.dtype() != dtype) || dtype == DType::Bool {
        return Err("inputs must be numbers of one type".into());
    }
    let shape = broadcast(&all.iter().map(|t| t.shape()).collect::<Vec<_>>())?;
    let mut parts = all.iter().map(|t| t.expanded(&shape)).collect::<Why<Vec<_>>>()?.into_iter();
    let first = parts.next().ok_or("no inputs")?;
    let mut sum = first.data().clone();
    for part in parts {
        match (&mut sum, part.data()) {
            (Data::Real(s), Data::Real(p)) => s.iter_mut().zip(p).for_each(|(s, p)| *s = f(*s, *p)),
            (Data::Whole(s), Data::Whole(p)) => s.iter_mut().zip(p).for_each(|(s, p)| *s = n(*s, *p)),
            _ => return Err("inputs must be of one type".into()),
        }
    }
    match sum {
        Data::Real(v) => Tensor::real(dtype, shape, v),
        Data::Whole(v) => Tensor::whole(dtype, shape, v),
    }
}

pub fn max(call: &Call) -> Out {
    Ok(vec![fold(call, |x, y| pick(x, y, x > y), i128::max)?])
}

pub fn min(call: &Call) -> Out {
    Ok(vec![fold(call, |x, y| pick(x, y, x < y), i128::min)?])
}

pub fn sum(call: &Call) -> Out {
    call.input(0)?.reals()?;
    Ok(vec![fold(call, |x, y| x + y, |x, _| x)?])
}

pub fn mean(call: &Call) -> Out {
    call.input(0)?.reals()?;
    let sum = fold(call, |x, y| x + y, |x, _| x)?;
    let n = call.inputs.len() as f64;
    Ok(vec![Tensor::real(sum.dtype(), sum.shape().to_vec(), sum.reals()?.iter().map(|x| x / n).collect())?])
}

pub fn clip(call: &Call) -> Out {
    let x = call.input(0)?;
    let bound = |i: usize| match call.optional(i) {
        Some(t) if t.dtype() != x.dtype() || t.len() != 1 => {
            Err(format!("input {i} is {:?} {:?}, a scalar {:?} is needed", t.dtype(), t.shape(), x.dtype()))
        }
        bound => Ok(bound),
    };
    let (low, high) = (bound(1)?, bound(2)?);
    let (least, most) = (low.map(Tensor::one_real).transpose()?, high.map(Tensor::one_real).transpose()?);
    if x.dtype().is_real() {
        let clipped = |v: f64| {
            let v = least.map_or(v, |l| pick(v, l, v > l));
            most.map_or(v, |m| pick(v, m, v < m))
        };
        return real(call, clipped);
    }
    let one = |t: Option<&Tensor>, none: i128| t.map_or(Ok(none), |t| t.wholes().map(|w| w[0]));
    let (least, most) = (one(low, i128::MIN)?, one(high, i128::MAX)?);
    number(call, |v| v, |n| n.max(least).min(most))
}

pub fn choose(call: &Call) -> Out {
    let (condition, x, y) = (call.input(0)?, call.input(1)?, call.input(2)?);
    booleans(condition)?;
    if x.dtype() != y.dtype() {
        return Err(format!("inputs are {:?} and {:?}; they must be of one type", x.dtype(), y.dtype()));
    }
    let shape = broadcast(&[condition.shape(), x.shape(), y.shape()])?;
    let (condition, x, y) = (condition.expanded(&shape)?, x.expanded(&shape)?, y.expanded(&shape)?);
    let chosen = condition.wholes()?.iter().enumerate();
    let data = match (x.data(), y.data()) {
        (Data::Real(x), Data::Real(y)) => Data::Real(chosen.map(|(i, c)| if *c != 0 { x[i] } else { y[i] }).collect()),
        (Data::Whole(x), Data::Whole(y)) => {
            Data::Whole(chosen.map(|(i, c)| if *c != 0 { x[i] } else { y[i] }).collect())
        }
        _ => return Err("inputs must be of one type".into()),
    };
    Ok(vec![Tensor::new(x.dtype(), shape, data)?])
}
