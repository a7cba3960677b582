//! What the shop sells.

use serde::Serialize;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Product {
    /// In forms, and as `static/<id>.svg`.
    pub id: &'static str,
    pub name: &'static str,
    pub about: &'static str,
    /// In cents.
    pub price: u32,
}

pub const PRODUCTS: [Product; 8] = [
    product("bowler", "Bowler", "Wool felt, keeps its shape in any queue.", 8900),
    product("straw-hat", "Straw hat", "For days without a cloakroom.", 3450),
    product("beret", "Beret", "Fits in a coat pocket, and in a coat's sleeve.", 2700),
    product("umbrella", "Umbrella", "The one that is never left behind.", 4990),
    product("trench-coat", "Trench coat", "Ten buttons, two secrets.", 21900),
    product("scarf", "Scarf", "Two metres of lambswool.", 3800),
    product("gloves", "Gloves", "A pair, and it stays one.", 4200),
    product("cane", "Cane", "Ash, with a silver-coloured knob.", 6500),
];

const fn product(id: &'static str, name: &'static str, about: &'static str, price: u32) -> Product {
    Product { id, name, about, price }
}

pub fn find(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}
